import { Context, Effect, Layer, Schedule } from "effect"
import { Db, onBackground } from "../db/Db.ts"
import { Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { LOG_ID } from "./seal.ts"

/** Events counted in one statement. */
const BATCH = 50_000
/** Distinct types that are counted by name; the type is the reporter's choice, so their number must be bounded. */
const MAX_TYPES = 10_000
/** Stands for all types beyond the bound. */
const OTHER = "__other__"

/**
 * How many events of each type were ever stored. Counted from the ledger up to a position by a job, so that nothing is
 * counted twice or forgotten, and the metrics need not scan.
 */
export class EventTypeCounts extends Context.Service<
  EventTypeCounts,
  {
    /** Counts what has been stored since the last run. */
    readonly runOnce: Effect.Effect<void>
    /** The most frequent types and their counts; the rest together as `__other__`. */
    readonly list: (
      limit: number
    ) => Effect.Effect<ReadonlyArray<{ readonly type: string; readonly n: number }>>
  }
>()("cp/events/EventTypeCounts") {
  static readonly layer = Layer.effect(
    EventTypeCounts,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const countBatch = sql<{ readonly counted: number }>`
        with span as materialized (
          select p.seq as since, least(h.seq, p.seq + ${BATCH}::bigint) as until
          from event_count_progress p join log_head h on h.log_id = p.log_id
          where p.log_id = ${LOG_ID}
          for update of p
        ),
        fresh as (
          select
            case when exists (select from event_type_counts c where c.type = e.type)
                or (select count(*) from event_type_counts) < ${MAX_TYPES}
              then e.type else ${OTHER} end as type,
            count(*) as n
          from span join audit_events e on e.log_id = ${LOG_ID} and e.seq > span.since and e.seq <= span.until
          group by 1
        ),
        counted as (
          insert into event_type_counts as c (type, n)
          select type, n from fresh
          on conflict (type) do update set n = c.n + excluded.n
        )
        update event_count_progress p set seq = span.until
        from span
        where p.log_id = ${LOG_ID} and span.until > span.since
        returning (span.until - span.since)::float8 as counted`

      const runOnce = countBatch.pipe(
        Effect.map(([row]) => row?.counted ?? 0),
        Effect.repeat({ while: (counted) => counted === BATCH }),
        Effect.asVoid,
        Effect.withSpan("EventTypeCounts.runOnce"),
        Effect.orDie
      )

      const list = Effect.fn("EventTypeCounts.list")(function* (limit: number) {
        return yield* sql<{ readonly type: string; readonly n: number }>`
          with ranked as (
            select type, n, row_number() over (order by n desc, type) as rank
            from event_type_counts where type <> ${OTHER})
          select type, n::float8 as n from ranked where rank <= ${limit}::int
          union all
          select ${OTHER}, rest::float8 from (
            select coalesce(sum(n) filter (where rank > ${limit}::int), 0)
              + coalesce((select n from event_type_counts where type = ${OTHER}), 0) as rest
            from ranked) as others
          where rest > 0`
      }, Effect.orDie)

      return { list, runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* EventTypeCounts
      const leases = yield* Leases
      const count = Effect.repeat(
        Effect.andThen(runOnce, succeeded("event-type-counts")),
        Schedule.spaced("5 seconds")
      )
      yield* Effect.forkScoped(onBackground(leases.hold("event-type-counts", () => count)))
    })
  )
}
