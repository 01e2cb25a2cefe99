import { Effect, Fiber } from "effect"
import { BATCH, BATCH_CONNECTIONS, checkLedger, reportLoad } from "./ingest.ts"
import { fire, warm } from "./load.ts"
import type { Workload } from "./model.ts"
import { connect, freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { Rates, ROUNDS } from "./rounds.ts"
import { startService } from "./service.ts"
import { merged } from "./statistics.ts"
import { streamLatency } from "./stream-latency.ts"
import { reportTo, streamed, SUBSCRIBERS } from "./w07-stream.ts"

/** Not of the batches, so that the subscribers get the events of W7 only. */
const TYPE = "bench.replicas"

/** W7 with its events reported to the first replica and its subscribers at the last. */
const stream = Effect.fnUntraced(function* (urls: ReadonlyArray<string>) {
  const { seconds } = yield* Rig
  const report = reportTo(urls[0] ?? "")
  return yield* streamLatency({
    streamUrl: `${urls.at(-1)}/api/events/stream?last_event_id=latest&type=${TYPE}`,
    subscribers: SUBSCRIBERS,
    seconds,
    isLedger: true,
    report: (id) => report([{ ...streamed(id, TYPE), source: "bench-stream" }])
  })
})

/** W1 and W7 at once on so many replicas, the connections of W1 shared out among them. */
const together = Effect.fnUntraced(function* (replicas: number) {
  const { note, seconds } = yield* Rig
  const databaseUrl = yield* freshDatabase
  const urls = yield* Effect.forEach(Array.from({ length: replicas }), () =>
    Effect.map(startService(databaseUrl), ({ url }) => url)
  )
  const connections = BATCH_CONNECTIONS / replicas
  const loads = urls.map((url) => ({ ...reportLoad(url, connections, BATCH), seconds }))
  const warmed = yield* Effect.forEach(loads, warm, { concurrency: "unbounded" })
  note(`${replicas} of the service, the stream alone`)
  const alone = yield* stream(urls)
  note(`${replicas} of the service, batches and stream`)
  const streaming = yield* Effect.forkChild(stream(urls))
  const loaded = yield* Effect.forEach(loads, fire, { concurrency: "unbounded" })
  const beside = yield* Fiber.join(streaming)
  const batches = [...warmed, ...loaded].reduce((sum, { count }) => sum + count, 0)
  yield* Effect.flatMap(connect(databaseUrl), (sql) =>
    checkLedger(sql, batches * BATCH, 2 * BATCH_CONNECTIONS * BATCH)
  )
  const rate = loaded.reduce((sum, { perSecond }) => sum + perSecond, 0) * BATCH
  return { rate, alone, beside }
}, Effect.scoped)

const round = Effect.all([together(1), together(2)])

export const replicas: Workload = {
  id: "W12",
  title: "Two replicas on one database, W1 and W7 together",
  run: Effect.gen(function* () {
    const rounds = yield* Effect.forEach(Array.from({ length: ROUNDS }), () => round)
    const rates = new Rates(rounds.map(([one, two]) => ({ one: one.rate, two: two.rate })))
    const alone = merged(rounds.map(([, two]) => two.alone)).summary()
    const beside = merged(rounds.map(([, two]) => two.beside)).summary()
    const ofOne = merged(rounds.map(([one]) => one.beside)).summary()
    const what = "one replica doing the same"
    return [
      {
        what: "events in batches of 100, both replicas together, beside the stream",
        value: rates.of("two"),
        unit: "/s",
        limit: { what, value: rates.of("one") },
        ratio: rates.ratio("two", "one"),
        target: { kind: "share", atLeast: 1 }
      },
      {
        what: `99th percentile from report at one replica to ${SUBSCRIBERS} subscribers at the other, beside the batches`,
        value: beside.p99,
        unit: "ms",
        limit: { what, value: ofOne.p99 },
        target: { kind: "at most", value: 60 },
        detail: `none lost; ${percentiles(beside)}`
      },
      {
        what: "the same without the batches",
        value: alone.p99,
        unit: "ms",
        detail: `none lost; ${percentiles(alone)}`
      }
    ]
  })
}
