import { Effect } from "effect"
import { join } from "node:path"
import { attempt, sendFor } from "./client.ts"
import { startHello } from "./limits.ts"
import { BenchError, type Workload } from "./model.ts"
import { migratedDatabase } from "./postgres.ts"
import { Rig } from "./Rig.ts"
import { environment, startService, startWith } from "./service.ts"
import { median } from "./statistics.ts"

const STARTS = 3
/** Pause after a start until the memory is looked at. */
const IDLE = "3 seconds"

/** Resident memory of a process as it tells it itself, MiB. */
const resident = (url: string) =>
  Effect.flatMap(
    attempt(() => sendFor(200, "GET", `${url}/api/metrics`)),
    (page) => {
      const bytes = Number(/^process_resident_memory_bytes (\S+)$/m.exec(page)?.[1])
      return Number.isFinite(bytes)
        ? Effect.succeed(bytes / 2 ** 20)
        : Effect.fail(new BenchError("the metrics do not tell the memory"))
    }
  )

const onDatabase = (databaseUrl: string) =>
  Effect.gen(function* () {
    const { readyMs, url } = yield* startService(databaseUrl)
    yield* Effect.sleep(IDLE)
    return { seconds: readyMs / 1000, memory: yield* resident(url) }
  }).pipe(Effect.scoped)

/** Development mode: production asks for a database of one's own. */
const withEmbedded = (directory: string) =>
  Effect.map(
    startWith({ ...environment, NODE_ENV: "development", EMBEDDED_POSTGRES_DIR: directory }),
    ({ readyMs }) => readyMs / 1000
  ).pipe(Effect.scoped)

const edgeAlone = Effect.gen(function* () {
  const begun = performance.now()
  const { url } = yield* startHello
  const seconds = (performance.now() - begun) / 1000
  yield* Effect.sleep(IDLE)
  const bytes = yield* attempt(() => sendFor(200, "GET", `${url}/api/resident`))
  return { seconds, memory: Number(bytes) / 2 ** 20 }
}).pipe(Effect.scoped)

const times = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: STARTS }), () => effect)

export const start: Workload = {
  id: "W11",
  title: "Start and idle memory",
  run: Effect.gen(function* () {
    const { folder, note } = yield* Rig
    const databaseUrl = yield* migratedDatabase
    note("with Postgres running")
    const given = yield* times(onDatabase(databaseUrl))
    note("the edge alone")
    const bare = yield* times(edgeAlone)
    note("with the embedded Postgres, making its data")
    const directory = join(folder, "embedded")
    const first = yield* withEmbedded(directory)
    note("with the embedded Postgres")
    const embedded = yield* times(withEmbedded(directory))
    const what = "the service's edge alone, no database"
    const limit = { what, value: median(bare.map(({ seconds }) => seconds)) }
    return [
      {
        what: "from the start of the process to its first ready answer, Postgres running",
        value: median(given.map(({ seconds }) => seconds)),
        unit: "s",
        limit,
        target: { kind: "at most", value: 1.5 }
      },
      {
        what: "the same with the embedded Postgres, its data there",
        value: median(embedded),
        unit: "s",
        limit,
        target: { kind: "at most", value: 4 },
        detail: `${first.toFixed(1)} s the first time, when it makes its data and tables`
      },
      {
        what: "resident memory of the service's process, idle",
        value: median(given.map(({ memory }) => memory)),
        unit: "MiB",
        limit: { what, value: median(bare.map(({ memory }) => memory)) },
        target: { kind: "at most", value: 170 }
      }
    ]
  })
}
