import { Clock, Context, Duration, Effect, Layer, Metric, Schedule } from "effect"
import { SecureRandom } from "effect/crypto"
import type { SqlError } from "effect/sql"
import { system } from "../access/Principal.ts"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { ExpiredEvents } from "./ExpiredEvents.ts"
import { ExpiredRows } from "./ExpiredRows.ts"

const MS_PER_DAY = 86_400_000

const deleted = Metric.counter("retention_deleted_total", {
  description: "Rows removed because they were older than their time to live, by table.",
  incremental: true
})
const lastSuccess = Metric.gauge("retention_last_success_seconds", {
  description: "When this replica last completed a sweep, in Unix seconds; 0 while it has not."
})

/** Rows that a sweep removed, by table; tables that lost none are absent. */
export type Removed = Readonly<Record<string, number>>

/**
 * Removes what is older than its time to live. Works in batches and rests after each as long as it took, so that at most
 * half of one connection is busy with it, however much there is to do.
 */
export class Retention extends Context.Service<
  Retention,
  {
    /** Removes all that is too old now, and records what it removed, if anything, as an event. */
    readonly runOnce: Effect.Effect<Removed, SqlError.SqlError>
  }
>()("cp/retention/Retention") {
  static readonly layer = Layer.effect(
    Retention,
    Effect.gen(function* () {
      const { retention } = yield* AppConfig
      const { tables } = yield* ExpiredRows
      const events = yield* ExpiredEvents
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom

      /** Repeats a batch until it finds nothing more; the count of what it removed. */
      const drain = Effect.fnUntraced(function* (
        table: string,
        batch: Effect.Effect<number, SqlError.SqlError>,
        isLast: (removed: number) => boolean
      ) {
        let total = 0
        for (;;) {
          const [took, removed] = yield* Effect.timed(batch)
          total += removed
          if (removed > 0) yield* Metric.update(Metric.withAttributes(deleted, { table }), removed)
          if (isLast(removed)) return total
          yield* Effect.sleep(took)
        }
      })

      const sweepEvents = Effect.fnUntraced(function* (now: number) {
        if (retention.auditEventsDays === 0) return 0
        const before = new Date(now - retention.auditEventsDays * MS_PER_DAY)
        const retired = yield* drain(
          "audit_events",
          events.retire(before, retention.batchLimit),
          (removed) => removed === 0
        )
        yield* events.dropPartitions
        return retired
      })

      const announce = Effect.fnUntraced(function* (removed: Removed, begun: number) {
        const receivedAt = yield* Clock.currentTimeMillis
        const event = ownEvent({
          id: yield* random.uuidV7(),
          type: "retention.swept",
          ts: receivedAt,
          aidA: null,
          namespace: null,
          payload: { removed, durationMs: receivedAt - begun }
        })
        yield* Effect.orDie(ingest.record({ principal: system, receivedAt }, [event]))
      })

      const runOnce = Effect.gen(function* () {
        const begun = yield* Clock.currentTimeMillis
        const now = yield* events.now
        const counts: Array<readonly [string, number]> = [["audit_events", yield* sweepEvents(now)]]
        for (const { maxAgeDays, name, remove } of tables) {
          if (maxAgeDays === undefined) continue
          const before = new Date(now - maxAgeDays * MS_PER_DAY)
          const { batchLimit } = retention
          counts.push([
            name,
            yield* drain(name, remove(before, batchLimit), (removed) => removed < batchLimit)
          ])
        }
        const removed = Object.fromEntries(counts.filter(([, count]) => count > 0))
        if (Object.keys(removed).length > 0) yield* announce(removed, begun)
        yield* Metric.update(lastSuccess, (yield* Clock.currentTimeMillis) / 1000)
        return removed
      }).pipe(Effect.withSpan("Retention.runOnce"))

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { retention } = yield* AppConfig
      const { tables } = yield* ExpiredRows
      for (const table of ["audit_events", ...tables.map(({ name }) => name)]) {
        yield* Metric.update(Metric.withAttributes(deleted, { table }), 0)
      }
      yield* Metric.update(lastSuccess, 0)
      if (!retention.enabled) return
      const { runOnce } = yield* Retention
      const leases = yield* Leases
      const sweep = Effect.catchCause(Effect.andThen(runOnce, succeeded("retention")), (cause) =>
        Effect.logWarning("retention failed", cause)
      )
      const sweeps = Effect.repeat(sweep, Schedule.spaced(Duration.millis(retention.intervalMs)))
      yield* Effect.forkScoped(onBackground(leases.hold("retention", () => sweeps)))
    })
  )
}
