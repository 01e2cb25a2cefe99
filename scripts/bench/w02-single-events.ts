import { Effect } from "effect"
import { BATCH, BATCH_CONNECTIONS, checkLedger, reportLoad, SINGLE_CONNECTIONS } from "./ingest.ts"
import { fire, warm } from "./load.ts"
import type { Workload } from "./model.ts"
import { checkpoint, connect, freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { Rates, ROUNDS } from "./rounds.ts"
import { startService } from "./service.ts"
import { merged } from "./statistics.ts"

const round = Effect.gen(function* () {
  const { note, seconds } = yield* Rig
  const databaseUrl = yield* freshDatabase
  const { url } = yield* startService(databaseUrl)
  const sql = yield* connect(databaseUrl)
  const [batches, singles] = [
    { ...reportLoad(url, BATCH_CONNECTIONS, BATCH), seconds },
    { ...reportLoad(url, SINGLE_CONNECTIONS, 1), seconds }
  ]
  const warmed = [yield* warm(batches), yield* warm(singles)] as const
  yield* checkpoint(sql)
  note("single events")
  const single = yield* fire(singles)
  yield* checkpoint(sql)
  note("batches")
  const batch = yield* fire(batches)
  const acknowledged = (warmed[0].count + batch.count) * BATCH + warmed[1].count + single.count
  yield* checkLedger(sql, acknowledged, 2 * (BATCH_CONNECTIONS * BATCH + SINGLE_CONNECTIONS))
  return { rates: { single: single.perSecond, batch: batch.perSecond * BATCH }, timings: single.timings }
}).pipe(Effect.scoped)

export const singleEvents: Workload = {
  id: "W2",
  title: `Single events, ${SINGLE_CONNECTIONS} connections`,
  run: Effect.gen(function* () {
    const rounds = yield* Effect.forEach(Array.from({ length: ROUNDS }), () => round)
    const rates = new Rates(rounds.map((each) => each.rates))
    return [
      {
        what: "events, one a request",
        value: rates.of("single"),
        unit: "/s",
        limit: { what: "events in batches as in W1", value: rates.of("batch") },
        ratio: rates.ratio("single", "batch"),
        target: { kind: "share", atLeast: 0.25 },
        detail: percentiles(merged(rounds.map(({ timings }) => timings)).summary())
      }
    ]
  })
}
