import { Effect, Ref } from "effect"
import { writeDurably } from "./durableFile.ts"
import { attempt, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { type Installation, launch } from "./launch.ts"
import { choosePort } from "./port.ts"
import { isServerOf, type Postmaster, readPostmaster, stopSignal } from "./postmaster.ts"
import { awaitEnd, isAlive } from "./processes.ts"
import { makeSocketFolder, removeSocketFolder } from "./socketFolder.ts"

const LOOK_EVERY_MS = 10
/** Pause between two looks whether the server still runs. */
const SUPERVISE_EVERY_MS = 1000
/** Time in ms for a fast shutdown; after it the server is told to leave its checkpoint to the next start. */
const FAST_STOP_MS = 15_000
const IMMEDIATE_STOP_MS = 5000
const PORT_TRIES = 5

/**
 * Waits for a server that is starting, as long as it takes: recovery after a crash may take long. None when it ends.
 * What the file said before the start, `left`, may even name the same number.
 */
const untilReady = Effect.fnUntraced(function* (data: string, pid: number, left?: Postmaster) {
  const begin = Date.now()
  for (let notes = 1; isAlive(pid);) {
    const found = readPostmaster(data)
    const fresh = found?.pid === pid && found.startedAt !== left?.startedAt
    if (fresh && (found.status === "ready" || found.status === "standby")) return found
    if (Date.now() - begin > notes * 10_000) {
      notes++
      yield* Effect.logInfo("the local Postgres server is still starting (recovering from a crash?)")
    }
    yield* Effect.sleep(LOOK_EVERY_MS)
  }
  return undefined
})

/** Stops a server in bounded time, at worst by leaving recovery to the next start. */
const stop = Effect.fnUntraced(function* (bin: string, server: Postmaster) {
  const within = (how: "fast" | "immediate", ms: number) =>
    attempt(`stop process ${server.pid}`, () => stopSignal(bin, server.pid, how)).pipe(
      Effect.andThen(Effect.timeoutOption(awaitEnd(server.pid, LOOK_EVERY_MS), ms)),
      Effect.ignore
    )
  if (isAlive(server.pid)) yield* within("fast", FAST_STOP_MS)
  if (isAlive(server.pid)) yield* within("immediate", IMMEDIATE_STOP_MS)
  if (isAlive(server.pid))
    yield* Effect.logWarning(`the local Postgres server (process ${server.pid}) does not stop`)
  else removeSocketFolder(server.socketFolder)
})

/**
 * Runs the server of this cluster until the scope closes: the one that an earlier process left running, or a new one.
 * When it ends by itself meanwhile it is started again at the same place.
 */
export const runServer = Effect.fnUntraced(function* (installation: Installation) {
  const { bin, cluster, home } = installation
  const current = yield* Ref.make<Postmaster | undefined>(undefined)

  const adopt = Effect.gen(function* () {
    const left = readPostmaster(cluster.data)
    if (left === undefined || !isServerOf(cluster.data, left.pid)) return undefined
    if (left.status === "stopping") yield* awaitEnd(left.pid, LOOK_EVERY_MS)
    yield* Ref.set(current, left)
    const ready = yield* untilReady(cluster.data, left.pid)
    if (ready !== undefined)
      yield* Effect.logInfo(
        `using the local Postgres server that an earlier run left behind (process ${ready.pid})`
      )
    return ready
  })

  const startAt = Effect.fnUntraced(function* (port: number, socketFolder: string) {
    const left = readPostmaster(cluster.data)
    const { log, pid } = yield* Effect.uninterruptible(
      Effect.tap(launch(installation, port, socketFolder), (launched) =>
        Ref.set(current, {
          pid: launched.pid,
          startedAt: "",
          port,
          socketFolder,
          status: "starting" as const
        })
      )
    )
    const ready = yield* untilReady(cluster.data, pid, left)
    return ready ?? log()
  })

  const start = Effect.gen(function* () {
    const left = readPostmaster(cluster.data)
    if (left !== undefined) removeSocketFolder(left.socketFolder)
    const socketFolder = yield* attempt("make a folder for its socket", () => makeSocketFolder(home))
    const taken = new Set<number>()
    while (true) {
      const port = yield* choosePort(home.path, cluster.portFile, taken)
      const started = yield* startAt(port, socketFolder)
      if (typeof started !== "string") {
        yield* attempt(`write ${cluster.portFile}`, () => writeDurably(cluster.portFile, `${port}\n`))
        return started
      }
      taken.add(port)
      if (taken.size < PORT_TRIES && started.includes("could not bind")) continue
      removeSocketFolder(socketFolder)
      return yield* new EmbeddedPostgresError({
        message: `the local Postgres server in ${home.path} does not start; the end of its log (server.log):\n${started}`
      })
    }
  })

  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Ref.get(current), (server) => (server === undefined ? Effect.void : stop(bin, server)))
  )
  const server = (yield* adopt) ?? (yield* start)
  yield* Ref.set(current, server)

  const restart = Effect.logError("the local Postgres server has ended; starting it again").pipe(
    Effect.andThen(startAt(server.port, server.socketFolder)),
    Effect.flatMap((started) =>
      typeof started === "string"
        ? Effect.logError(`it does not start: ${started}`)
        : Ref.set(current, started)
    ),
    Effect.catchTag("EmbeddedPostgresError", (error) => Effect.logError(error.message))
  )
  yield* Ref.get(current).pipe(
    Effect.flatMap((running) =>
      running === undefined ? Effect.void : awaitEnd(running.pid, SUPERVISE_EVERY_MS)
    ),
    Effect.andThen(restart),
    Effect.forever,
    Effect.forkScoped
  )
  return server
})
