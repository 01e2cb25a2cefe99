import { execFileSync, spawn } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Redacted } from "effect"
import { migrate } from "../../../src/db/migrate.ts"
import { loadMigrations } from "../../../src/db/migrationFiles.ts"
import { startEmbeddedPostgres } from "../../../src/embedded/EmbeddedPostgres.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))

const git = (...parameters: ReadonlyArray<string>): string | undefined => {
  try {
    return execFileSync("git", parameters, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    }).trim()
  } catch {
    return undefined // no repository, or nothing of that name
  }
}

/** Tag of the last release before this commit; none before the first one. */
export const previousReleases = (): ReadonlyArray<string> => {
  // the parent's, so that a release is compared with the one before it
  const tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
  return tag === undefined ? [] : [tag]
}

const temporary = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), name))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

/** A server whose new databases have the schema of this tree, because its template has. */
const migratedServer = Effect.gen(function* () {
  const directory = yield* temporary("aitp-upgrade-pg-")
  chmodSync(directory, 0o711) // for root: the server's account must pass
  const { url } = yield* startEmbeddedPostgres({
    directory,
    settings: { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "400" }
  })
  const template = new URL(Redacted.value(url))
  template.pathname = "/template1"
  const target = {
    address: { url: Redacted.make(template.href) },
    requestConnections: 1,
    backgroundConnections: 1
  }
  yield* migrate(target, yield* loadMigrations())
  return Redacted.value(url)
})

/** Runs a program to its end; what it has written is kept. */
const run = (
  folder: string,
  environment: Readonly<Record<string, string>>,
  program: string,
  parameters: ReadonlyArray<string>
) =>
  Effect.callback<{ readonly code: number | null; readonly output: string }>((resume) => {
    const { HOME = "", PATH = "" } = process.env
    const child = spawn(program, parameters, {
      cwd: folder,
      env: { HOME, PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    const keep = (chunk: Buffer) => void (output += chunk.toString("utf8"))
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.once("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const lockOf = (folder: string): string => readFileSync(join(folder, "package-lock.json"), "utf8")

/** The tree of a tag with its dependencies. */
const checkout = Effect.fnUntraced(function* (tag: string) {
  const folder = join(yield* temporary("aitp-release-"), "tree")
  const archive = `${folder}.tar`
  mkdirSync(folder)
  execFileSync("git", ["archive", "--format=tar", "--output", archive, tag], { cwd: root })
  execFileSync("tar", ["-xf", archive], { cwd: folder })
  if (lockOf(folder) === lockOf(root)) symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  else yield* run(folder, {}, "npm", ["ci", "--no-audit", "--no-fund"])
  return folder
})

/** Suites that between them write to every table and read it back; a release without one of them has the others. */
const SUITES = [
  "conformance",
  "registry",
  "ingest",
  "reads",
  "webhook-",
  "deliveries",
  "revocation.",
  "trust-",
  "log."
]

/**
 * Runs contract suites that a release was made with, with its own code, on databases that have the schema of this tree:
 * the release finds nothing to migrate in them, and rows of migrations that it does not know.
 */
export const runReleasedSuites = Effect.fnUntraced(function* (tag: string) {
  const folder = yield* checkout(tag)
  const vitest = [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--config",
    "test/vitest.config.ts",
    "--project",
    "contract"
  ]
  const suites = SUITES.map((name) => `test/contract/${name}`)
  return yield* run(folder, { TEST_DATABASE_URL: yield* migratedServer }, process.execPath, [
    ...vitest,
    ...suites
  ])
})
