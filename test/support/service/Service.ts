import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlClient } from "effect/sql"
import { eventually } from "../db/eventually.ts"
import { freshDatabase } from "../db/TestDb.ts"

/** The service as clients see it: where it is, and a key that opens it. */
export class Service extends Context.Service<Service, { readonly url: string; readonly apiKey: string }>()(
  "cp/test/Service"
) {}

/** The process and the database behind a service that the tests have started themselves. */
export class Control extends Context.Service<
  Control,
  {
    readonly process: ServiceProcess
    readonly databaseUrl: string
    /** On the service's database, past the service. */
    readonly sql: SqlClient.SqlClient
  }
>()("cp/test/Control") {}

/** Set to run the suites that need no control of the service against a running one; `CP_API_KEY` is its key. */
const remoteUrl = process.env["CP_URL"]?.replace(/\/+$/, "") ?? ""

/** Whether the suites are run against a service that is not theirs: what must control it is skipped. */
export const isRemote = remoteUrl !== ""

export const API_KEY = "contract-test-key"
export const OTHER_KEY = "contract-test-other-key"
/** Seed of the service's AID unless a suite gives another. */
export const AID_SEED_HEX = "5e".repeat(32)
export const ENROLLMENT_SECRET = "enrollment-secret-of-the-contract-tests"

type Environment = Readonly<Record<string, string>>

const settings: Environment = {
  HOST: "127.0.0.1",
  PORT: "0",
  LOG_FORMAT: "json",
  API_KEYS: `${API_KEY},${OTHER_KEY}`,
  CP_AID_SEED_HEX: AID_SEED_HEX,
  ENROLLMENT_SECRET,
  RATE_LIMIT_ENABLED: "false",
  DB_POOL_MAX: "10",
  DB_BACKGROUND_POOL_MAX: "3",
  SHUTDOWN_DRAIN_MS: "5000"
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The service as a process. */
export interface ServiceProcess {
  readonly pid: number
  /** Everything it has written so far. */
  readonly log: () => string
  /** Base URL, once it listens; dies when it ends instead. */
  readonly listening: Effect.Effect<string>
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** SIGTERM, then its end. */
  readonly stop: Effect.Effect<Ended>
  /** SIGKILL, then its end. */
  readonly kill: Effect.Effect<Ended>
}

const root = fileURLToPath(new URL("../../..", import.meta.url))
const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** What runs the service: this Node, or with `CP_RUNTIME=deno` the Deno on the PATH. */
const runtime =
  process.env["CP_RUNTIME"] === "deno"
    ? { command: "deno", parameters: ["run", "-A"] }
    : { command: process.execPath, parameters: [] }

const begin = (environment: Environment): { child: ChildProcess; service: ServiceProcess } => {
  const { PATH = "", HOME = "" } = process.env
  const child = spawn(runtime.command, [...runtime.parameters, "src/main.ts"], {
    cwd: root,
    env: { PATH, HOME, ...environment },
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.add(child)
  let log = ""
  let end: Ended | undefined
  const keep = (chunk: Buffer) => void (log += chunk.toString("utf8"))
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  const ending = new Promise<Ended>((resolve) => {
    child.once("close", (code, signal) => {
      end = { code, signal }
      running.delete(child)
      resolve(end)
    })
  })
  const ended = Effect.promise(() => ending)
  const signal = (name: NodeJS.Signals) => Effect.sync(() => void child.kill(name))
  const port = Effect.suspend((): Effect.Effect<number | string, string> => {
    if (end !== undefined) return Effect.succeed(`the service ended:\n${log}`)
    const [, found] = /Listening on http:\/\/[^"\s]*:(\d+)/.exec(log) ?? []
    return found === undefined ? Effect.fail("not yet") : Effect.succeed(Number(found))
  })
  const listening = Effect.flatMap(eventually(port), (found) =>
    typeof found === "number" ? Effect.succeed(`http://127.0.0.1:${found}`) : Effect.die(new Error(found))
  )
  const service = {
    pid: child.pid ?? 0,
    log: () => log,
    listening,
    signal,
    ended,
    stop: Effect.andThen(signal("SIGTERM"), ended),
    kill: Effect.andThen(signal("SIGKILL"), ended)
  }
  return { child, service }
}

/** Starts the service with these variables over those of all tests; an empty one is unset. Killed with the scope. */
export const spawnService = (environment: Environment): Effect.Effect<ServiceProcess, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => begin({ ...settings, ...environment })),
      ({ service }) => service.kill
    ),
    ({ service }) => service
  )

const status = (url: string) =>
  Effect.tryPromise(async () => {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.status
  })

/** Waits until the service may be used, and gives its base URL. */
export const awaitReady = (service: ServiceProcess): Effect.Effect<string> =>
  Effect.gen(function* () {
    const url = yield* service.listening
    const died = Effect.flatMap(service.ended, () => Effect.die(new Error(service.log())))
    yield* Effect.raceFirst(
      eventually(status(`${url}/api/readyz`), (found) => found === 200),
      died
    )
    return url
  })

/** A ready service on the database of this URL, as a client of its own. */
export const startOn = (databaseUrl: string, environment: Environment = {}) =>
  Effect.gen(function* () {
    const service = yield* spawnService({ DATABASE_URL: databaseUrl, ...environment })
    const url = yield* awaitReady(service)
    return { service, url, apiKey: API_KEY }
  })

/** Statements on a database, past the service. */
export const sqlOn = (databaseUrl: string) =>
  PgClient.makeClient({
    url: Redacted.make(databaseUrl),
    connectTimeout: "10 seconds"
  }).pipe(Effect.provide(Reactivity.layer), Effect.orDie)

/** A service of the suite's own on an empty database. */
export const ownService = (environment: Environment = {}): Layer.Layer<Service | Control> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const databaseUrl = yield* Effect.orDie(freshDatabase)
      const { service, url } = yield* startOn(databaseUrl, environment)
      const sql = yield* sqlOn(databaseUrl)
      return Context.make(Service, { url, apiKey: API_KEY }).pipe(
        Context.add(Control, { process: service, databaseUrl, sql })
      )
    })
  )

/** The service at `CP_URL`, or one of the suite's own. */
export const anyService: Layer.Layer<Service> = isRemote
  ? Layer.succeed(Service, { url: remoteUrl, apiKey: process.env["CP_API_KEY"] ?? "" })
  : ownService()
