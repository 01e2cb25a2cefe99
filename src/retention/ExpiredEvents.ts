import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { BackgroundDb } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"

interface Partition {
  readonly name: string
  /** Its last position. */
  readonly last: number
  readonly detaching: boolean
}

/**
 * Store of the ledger's old end. Events go in the order of their positions, once the transparency log has them: its
 * tiles keep proving what was dropped.
 */
export class ExpiredEvents extends Context.Service<
  ExpiredEvents,
  {
    /**
     * The time by the database's clock, ms since 1970. What is too old is decided by it alone: the clock of one replica
     * may be wrong, and what was removed does not come back.
     */
    readonly now: Effect.Effect<number, SqlError.SqlError>
    /**
     * Retires at most `limit` events that were stored before that time; gives their number, 0 only when none are left.
     * Rows of a partition that is too old as a whole stay until `dropPartitions`, which costs less than deleting them.
     */
    readonly retire: (before: Date, limit: number) => Effect.Effect<number, SqlError.SqlError>
    /** Drops the partitions all of whose events are retired. */
    readonly dropPartitions: Effect.Effect<void, SqlError.SqlError>
  }
>()("cp/retention/ExpiredEvents") {
  static readonly layer = Layer.effect(
    ExpiredEvents,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb

      const now = sql<{ readonly now: number }>`
        select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`.pipe(
        Effect.map(([row]) => row?.now ?? 0),
        Effect.withSpan("ExpiredEvents.now")
      )

      const retire = Effect.fn("ExpiredEvents.retire")(function* (before: Date, limit: number) {
        // A full partition whose last event is too old goes as a whole, so no batch reaches beyond its end. (Should the
        // clock have been set back inside it, a younger event ends the batch, and the partition waits for that one.)
        const [row] = yield* sql<{ readonly retired: number }>`
          select r.retired
          from log_tree t
          cross join lateral (
            select
              p.last,
              coalesce(
                (select e.created_at < ${before}::timestamptz from audit_events e
                 where e.log_id = t.log_id and e.seq = p.last and e.seq <= t.size), false) as whole
            from event_partitions_v1 p
            where p.first <= t.dropped_to + 1 and p.last > t.dropped_to
          ) as p
          cross join lateral retire_events_v1(
            t.log_id, ${before}::timestamptz, least(${limit}::int, p.last - t.dropped_to)::int, not p.whole) as r
          where t.log_id = ${LOG_ID}`
        return row?.retired ?? 0
      })

      const drop = Effect.fn("ExpiredEvents.drop")(function* ({ detaching, name }: Partition) {
        const partition = sql(name)
        // Readers and writers of the other partitions feel nothing of this; it cannot be part of a transaction.
        yield* detaching
          ? sql`alter table audit_events detach partition ${partition} finalize`.unprepared
          : sql`alter table audit_events detach partition ${partition} concurrently`.unprepared
        yield* sql`drop table ${partition}`.unprepared
      })

      const dropPartitions = Effect.gen(function* () {
        const partitions = yield* sql<Partition>`
          select p.name, p.last::float8 as last, p.detaching
          from event_partitions_v1 p join log_tree t on t.log_id = ${LOG_ID}
          where p.last <= t.dropped_to
          order by p.last`
        yield* Effect.forEach(partitions, drop, { discard: true })
      }).pipe(Effect.withSpan("ExpiredEvents.dropPartitions"))

      return { dropPartitions, now, retire }
    })
  )
}
