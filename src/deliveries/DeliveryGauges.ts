import { Clock, Effect, Layer } from "effect"
import { BackgroundDb } from "../db/Db.ts"
import { type Family, PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"

/** Counting may take this part of the time: at millions of rows it takes long, and is done seldom. */
const SHARE = 0.02
const MIN_AGE_MS = 5000

interface Counts {
  readonly pending: number
  readonly failed: number
}

const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
  name: `${PREFIX}${name}`,
  help,
  type: "gauge",
  samples
})

/** Series about deliveries that are read from the database; cluster-wide, so they must not be summed over replicas. */
export const DeliveryGauges = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const metrics = yield* Metrics

      let counted: { readonly counts: Counts; readonly validUntil: number } | undefined
      const counts = Effect.gen(function* () {
        const began = yield* Clock.currentTimeMillis
        if (counted !== undefined && began < counted.validUntil) return counted.counts
        const [found] = yield* sql<Counts>`
          select
            (select count(*) from webhook_deliveries where status = 'pending')::float8 as pending,
            (select count(*) from webhook_deliveries where status = 'failed')::float8 as failed`
        const ended = yield* Clock.currentTimeMillis
        const age = Math.max(MIN_AGE_MS, (ended - began) / SHARE)
        counted = { counts: found ?? { pending: 0, failed: 0 }, validUntil: ended + age }
        return counted.counts
      })

      metrics.register(
        Effect.map(counts, ({ failed, pending }) => [
          gauge("webhook_deliveries", "Deliveries that wait or have failed; counted a while ago.", [
            { labels: { status: "pending" }, value: pending },
            { labels: { status: "failed" }, value: failed }
          ])
        ])
      )
      metrics.register(
        Effect.map(
          sql<{ readonly oldest: number; readonly open: number; readonly halfOpen: number }>`
            select
              coalesce((
                select max(extract(epoch from clock_timestamp() - w.due_at))
                from waiting_webhooks_v1() w
                join webhooks s on s.id = w.webhook_id and s.active
                left join webhook_breakers b on b.webhook_id = w.webhook_id
                where w.due_at <= clock_timestamp() and breaker_admits_v1(b, clock_timestamp())), 0)::float8 as oldest,
              (select count(*) from webhook_breakers where state = 'open')::int as open,
              (select count(*) from webhook_breakers where state = 'half_open')::int as half_open`,
          ([row]) =>
            row === undefined
              ? []
              : [
                  gauge(
                    "webhook_oldest_due_seconds",
                    "How long the delivery has been due that waits longest for an endpoint whose breaker lets it pass.",
                    [{ value: row.oldest }]
                  ),
                  gauge("webhook_circuit_breaker_open", "Circuit breakers that are not closed.", [
                    { labels: { state: "open" }, value: row.open },
                    { labels: { state: "half_open" }, value: row.halfOpen }
                  ])
                ]
        )
      )
    })
  )
}
