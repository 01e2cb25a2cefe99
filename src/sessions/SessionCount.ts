import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"

/**
 * Read model: how many sessions there ever were. Sessions are never removed, and none is stored with a time that lies a
 * minute back, so what was counted up to there is remembered and only the rest is counted again.
 */
export class SessionCount extends Context.Service<
  SessionCount,
  { readonly total: Effect.Effect<number, SqlError.SqlError> }
>()("cp/sessions/SessionCount") {
  static readonly layer = Layer.effect(
    SessionCount,
    Effect.gen(function* () {
      const { sql } = yield* Db
      let settled = { before: new Date(0), count: 0 }

      const total = Effect.gen(function* () {
        const { before, count } = settled
        const [row] = yield* sql<{ readonly at: Date; readonly settled: number; readonly recent: number }>`
          select
            b.at, (count(*) filter (where s.created_at < b.at))::float8 as settled,
            (count(*) filter (where s.created_at >= b.at))::float8 as recent
          from (
            select greatest(${before}, date_trunc('milliseconds', clock_timestamp() - interval '1 minute')) as at
          ) as b
          left join handshake_sessions s on s.log_id = ${LOG_ID} and s.created_at >= ${before}
          group by b.at`
        if (row === undefined) return count
        settled = { before: row.at, count: count + row.settled }
        return settled.count + row.recent
      }).pipe(Effect.withSpan("SessionCount.total"))

      return { total }
    })
  )
}
