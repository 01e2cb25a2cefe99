import { Effect, Exit, Redacted, References, Scope } from "effect"
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { startEmbeddedPostgres } from "../../../src/embedded/EmbeddedPostgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Superuser URL of the server that the suites of this run share. */
    readonly postgresUrl: string
  }
}

const PREFIX = "aitp-test-pg-"

interface Shared {
  users: number
  readonly url: string
  readonly stop: () => Promise<void>
}
// Each project loads this file by itself; the server of a run is one.
const slot = globalThis as { aitpTestPostgres?: Promise<Shared> | undefined }

const start = async (directory: string): Promise<Shared> => {
  const scope = Scope.makeUnsafe()
  const stop = async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(directory, { recursive: true, force: true })
  }
  const server = await Effect.runPromise(
    startEmbeddedPostgres({
      directory,
      // Losing the data of a test server costs nothing. Commits return at once.
      settings: { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "400" }
    }).pipe(Scope.provide(scope), Effect.provideService(References.MinimumLogLevel, "Warn"))
  )
  return { users: 0, url: Redacted.value(server.url), stop }
}

/** Ends the servers of runs that were killed: taking their folder over and giving it back stops them. */
const endAbandoned = async () => {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX))
  // Not those that a run beside this one is just making.
  const made = folders
    .map((name) => join(tmpdir(), name))
    .filter((folder) => existsSync(join(folder, "cluster", "initialised")))
  for (const folder of made)
    await start(folder).then(
      (abandoned) => abandoned.stop(),
      () => undefined // its run still lives
    )
}

const startForRun = async () => {
  await endAbandoned()
  const directory = mkdtempSync(join(tmpdir(), PREFIX))
  chmodSync(directory, 0o711) // for root: the server's account must pass
  return start(directory)
}

/** Provides `postgresUrl`: TEST_DATABASE_URL, or a server of this run, stopped and removed at its end. */
export default async function setup(project: TestProject) {
  const given = process.env["TEST_DATABASE_URL"]
  if (given !== undefined && given !== "") {
    project.provide("postgresUrl", given)
    return
  }
  slot.aitpTestPostgres ??= startForRun()
  const shared = await slot.aitpTestPostgres
  shared.users++
  project.provide("postgresUrl", shared.url)
  return async () => {
    if (--shared.users > 0) return
    slot.aitpTestPostgres = undefined
    await shared.stop()
  }
}
