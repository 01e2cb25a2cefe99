import { Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Db } from "../db/Db.ts"
import { type Family, PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"

interface Counts {
  readonly fresh: number
  readonly stale: number
  readonly missing: number
  /** Lists that are not fetched because there are too many. */
  readonly waiting: number
  /** Seconds that the most overdue one has been waiting. */
  readonly overdue: number
}

/** How fresh the copies of agents' lists are, read at each scrape; cluster-wide, and absent while there is no mirror. */
export const MirrorMetrics = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { sql } = yield* Db
      const metrics = yield* Metrics
      const { mirror } = yield* AppConfig
      if (!mirror.enabled) return

      metrics.register(
        Effect.map(
          sql<Counts>`
            select
              count(*) filter (where l.due_at is not null and l.expires_at > n.secs)::int as fresh,
              count(*) filter (where l.due_at is not null and l.expires_at <= n.secs)::int as stale,
              count(*) filter (where l.due_at is not null and l.expires_at is null)::int as missing,
              count(*) filter (where l.due_at is null and a.status = 'active')::int as waiting,
              greatest(n.secs - extract(epoch from min(l.due_at)), 0)::float8 as overdue
            from (select extract(epoch from clock_timestamp()) as secs) as n
            left join (issuer_lists l join agents a on a.aid = l.aid) on l.uri is not null
            group by n.secs`,
          ([counts]): ReadonlyArray<Family> =>
            counts === undefined
              ? []
              : [
                  {
                    name: `${PREFIX}issuer_lists`,
                    help: "Agents that name their own revocation list, by the copy: fresh, stale (expired), missing, waiting (not fetched: too many).",
                    type: "gauge",
                    samples: (["fresh", "stale", "missing", "waiting"] as const).map((state) => ({
                      labels: { state },
                      value: counts[state]
                    }))
                  },
                  {
                    name: `${PREFIX}issuer_list_overdue_seconds`,
                    help: "Time that the most overdue list of an agent has been waiting to be fetched.",
                    type: "gauge",
                    samples: [{ value: counts.overdue }]
                  }
                ]
        )
      )
    })
  )
}
