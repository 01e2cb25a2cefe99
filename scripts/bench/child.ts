import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { BenchError } from "./model.ts"
import { Rig } from "./Rig.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
/** Time a process may take from SIGTERM to its end, ms; more than the service takes for its drain. */
const STOP_MS = 20_000
const START_MS = 120_000
const LOOK_EVERY_MS = 5
/** As `npm start` has it. */
const V8_OPTIONS = ["--max-semi-space-size=4"]

/** A server of this run in a process of its own. */
export interface Child {
  readonly pid: number
  /** Where it listens. */
  readonly url: string
  /** Of `performance.now()`. */
  readonly startedAt: number
  /** Ends it and waits for that; closing the scope does so too. */
  readonly stop: Effect.Effect<void>
}

const alive = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

const endOf = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (!alive.has(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.suspend(() => {
    child.kill("SIGTERM")
    return Effect.timeoutOption(endOf(child), STOP_MS).pipe(
      Effect.andThen(Effect.sync(() => void (alive.has(child) && child.kill("SIGKILL")))),
      Effect.andThen(endOf(child))
    )
  })

/**
 * Runs a program of this project until the scope closes, with these variables and no others; comes back when it says that
 * it listens. What it writes goes to a file, as under a supervisor.
 */
export const startChild = (
  program: string,
  environment: Readonly<Record<string, string>>,
  parameters: ReadonlyArray<string> = []
): Effect.Effect<Child, BenchError, Rig | Scope.Scope> =>
  Effect.gen(function* () {
    const { folder } = yield* Rig
    const logFile = join(folder, `${randomUUID()}.log`)
    const startedAt = performance.now()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const log = openSync(logFile, "a", 0o600)
        const { HOME = "", PATH = "" } = process.env
        const started = spawn(process.execPath, [...V8_OPTIONS, program, ...parameters], {
          cwd: root,
          env: { PATH, HOME, ...environment },
          stdio: ["ignore", log, log]
        })
        closeSync(log)
        alive.add(started)
        started.once("exit", () => alive.delete(started))
        return started
      }),
      stop
    )
    const { pid } = child
    if (pid === undefined) return yield* Effect.fail(new BenchError(`cannot start ${program}`))
    while (performance.now() - startedAt < START_MS) {
      const log = readFileSync(logFile, "utf8")
      const [, port] = /Listening on http:\/\/[^"\s]*:(\d+)/.exec(log) ?? []
      if (port !== undefined) return { pid, startedAt, url: `http://127.0.0.1:${port}`, stop: stop(child) }
      if (!alive.has(child))
        return yield* Effect.fail(new BenchError(`${program} ended:\n${log.slice(-2000)}`))
      yield* Effect.sleep(LOOK_EVERY_MS)
    }
    return yield* Effect.fail(new BenchError(`${program} does not listen within ${START_MS / 1000} s`))
  })
