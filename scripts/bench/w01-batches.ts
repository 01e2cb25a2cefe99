import { Effect } from "effect"
import { BATCH, BATCH_CONNECTIONS, checkLedger, headOf, reportLoad } from "./ingest.ts"
import { fire, warm } from "./load.ts"
import type { Workload } from "./model.ts"
import { allTables, writePlain } from "./plain-inserts.ts"
import { checkpoint, connect, freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { Rates, ROUNDS } from "./rounds.ts"
import { startService } from "./service.ts"
import { merged } from "./statistics.ts"

/** A new database, the service on it, and then the plain inserts in its place: both write into fresh tables. */
const round = Effect.gen(function* () {
  const { note, seconds } = yield* Rig
  const databaseUrl = yield* freshDatabase
  const service = yield* startService(databaseUrl)
  const sql = yield* connect(databaseUrl)
  const load = { ...reportLoad(service.url, BATCH_CONNECTIONS, BATCH), seconds }
  const warmed = yield* warm(load)
  yield* checkpoint(sql)
  note("the service")
  const loaded = yield* fire(load)
  yield* service.stop
  const acknowledged = (warmed.count + loaded.count) * BATCH
  yield* checkLedger(sql, acknowledged, 2 * BATCH_CONNECTIONS * BATCH)
  note("plain inserts, all tables")
  const events = yield* headOf(sql)
  const plain = yield* writePlain(sql, allTables, events)
  note("plain inserts, the event rows alone")
  const alone = yield* writePlain(sql, ["audit_events"], events)
  return { rates: { service: loaded.perSecond * BATCH, plain, alone }, timings: loaded.timings }
}).pipe(Effect.scoped)

export const batches: Workload = {
  id: "W1",
  title: `Batches of ${BATCH} events, realistic mix, ${BATCH_CONNECTIONS} connections`,
  run: Effect.gen(function* () {
    const rounds = yield* Effect.forEach(Array.from({ length: ROUNDS }), () => round)
    const rates = new Rates(rounds.map((each) => each.rates))
    const detail = `a batch: ${percentiles(merged(rounds.map(({ timings }) => timings)).summary())}`
    return [
      {
        what: "events in batches of 100",
        value: rates.of("service"),
        unit: "/s",
        limit: {
          what: "plain inserts of the same rows of all tables, one connection",
          value: rates.of("plain")
        },
        ratio: rates.ratio("service", "plain"),
        target: { kind: "share", atLeast: 0.6 },
        detail
      },
      {
        what: "the same",
        value: rates.of("service"),
        unit: "/s",
        limit: { what: "plain inserts of the event rows alone", value: rates.of("alone") },
        ratio: rates.ratio("service", "alone"),
        target: { kind: "share", atLeast: 0.3 }
      }
    ]
  })
}
