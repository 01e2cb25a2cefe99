import { Effect, Layer } from "effect"
import { Db, DbPools } from "../db/Db.ts"
import { SessionCount } from "../sessions/SessionCount.ts"
import { EventTypeCounts } from "../events/EventTypeCounts.ts"
import { type Family, PREFIX } from "./Exposition.ts"
import { Metrics } from "./Metrics.ts"

/** Types shown by name. */
const TYPES_SHOWN = 200

const gauge = (name: string, help: string, value: number): Family => ({
  name: `${PREFIX}${name}`,
  help,
  type: "gauge",
  samples: [{ value }]
})

/** Series read from the database at each scrape; cluster-wide, so they must not be summed over replicas. */
export const DerivedMetrics = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { sql } = yield* Db
      const counts = yield* EventTypeCounts
      const metrics = yield* Metrics
      const pools = yield* DbPools
      const sessions = yield* SessionCount

      metrics.register(
        Effect.sync((): ReadonlyArray<Family> => [
          {
            name: `${PREFIX}db_pool_connections`,
            help: "Database connections of this replica, by pool: lent, and those that could be.",
            type: "gauge",
            samples: Object.entries(pools).flatMap(([pool, { lent, size }]) => [
              { labels: { pool, state: "in_use" }, value: lent() },
              { labels: { pool, state: "free" }, value: size - lent() }
            ])
          }
        ])
      )
      metrics.register(
        Effect.map(sessions.total, (value): ReadonlyArray<Family> => [
          {
            name: `${PREFIX}sessions_total`,
            help: "Handshake sessions ever seen.",
            type: "counter",
            samples: [{ value }]
          }
        ])
      )
      metrics.register(
        Effect.map(
          sql<{
            readonly active: number
            readonly expired: number
            readonly withheld: number
            readonly head: number
          }>`
            select
              (select count(*)::int from agents where status = 'active') as active,
              (select count(*)::int from agents where status = 'expired') as expired,
              (select count(*)::int from agents where not integrity_ok) as withheld,
              (select max(seq)::float8 from log_head) as head`,
          ([row]) =>
            row === undefined
              ? []
              : [
                  gauge("agents_active", "Registered agents in service.", row.active),
                  gauge("agents_expired", "Agents whose manifest has run out.", row.expired),
                  gauge(
                    "agents_integrity_failed",
                    "Agents withheld because their manifest no longer verifies.",
                    row.withheld
                  ),
                  gauge("event_position", "Position of the newest event.", row.head)
                ]
        )
      )
      metrics.register(
        Effect.map(counts.list(TYPES_SHOWN), (types): ReadonlyArray<Family> => [
          {
            name: `${PREFIX}audit_events`,
            help: "Events ever stored, by type; counted up to a few seconds ago.",
            type: "counter",
            samples: types.map(({ n, type }) => ({ labels: { type }, value: n }))
          }
        ])
      )
    })
  )
}
