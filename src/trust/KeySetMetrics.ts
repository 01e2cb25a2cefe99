import { Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Db } from "../db/Db.ts"
import { type Family, PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"

interface Counts {
  readonly fresh: number
  readonly stale: number
  readonly missing: number
  /** Seconds that the most overdue one has been waiting. */
  readonly overdue: number
}

/** How fresh the key sets of all trust anchors are, read at each scrape; cluster-wide. */
export const KeySetMetrics = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { sql } = yield* Db
      const metrics = yield* Metrics
      const staleAfterSecs = (yield* AppConfig).jwks.staleAfterMs / 1000

      metrics.register(
        Effect.map(
          sql<Counts>`
            select
              count(*) filter (where age <= ${staleAfterSecs}::float8)::int as fresh,
              count(*) filter (where age > ${staleAfterSecs}::float8)::int as stale,
              count(*) filter (where age is null)::int as missing,
              greatest(extract(epoch from clock_timestamp() - min(jwks_due_at)), 0)::float8 as overdue
            from (
              select jwks_due_at, extract(epoch from clock_timestamp() - jwks_cached_at) as age from trust_anchors) as a`,
          ([counts]): ReadonlyArray<Family> =>
            counts === undefined
              ? []
              : [
                  {
                    name: `${PREFIX}jwks_key_sets`,
                    help: "Trust anchors by their cached key set: fresh, stale (JWKS_STALE_AFTER_MS), missing.",
                    type: "gauge",
                    samples: (["fresh", "stale", "missing"] as const).map((state) => ({
                      labels: { state },
                      value: counts[state]
                    }))
                  },
                  {
                    name: `${PREFIX}jwks_refresh_overdue_seconds`,
                    help: "Time that the most overdue trust anchor has been waiting for its key set to be fetched.",
                    type: "gauge",
                    samples: [{ value: counts.overdue }]
                  }
                ]
        )
      )
    })
  )
}
