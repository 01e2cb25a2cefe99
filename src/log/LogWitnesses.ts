import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"

/** What came of asking a witness. */
export interface WitnessOutcome {
  readonly vkey: string
  /** Leaves of the tree it has cosigned; undefined when it has not. */
  readonly cosigned: number | undefined
  /** Why it has not, one line. */
  readonly failure: string | undefined
}

/** Store of what is known of the witnesses. */
export class LogWitnesses extends Context.Service<
  LogWitnesses,
  { readonly record: (outcomes: ReadonlyArray<WitnessOutcome>) => Effect.Effect<void, SqlError.SqlError> }
>()("cp/log/LogWitnesses") {
  static readonly layer = Layer.effect(
    LogWitnesses,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const record = Effect.fn("LogWitnesses.record")(function* (outcomes: ReadonlyArray<WitnessOutcome>) {
        yield* sql`
          insert into log_witnesses as w (log_id, vkey, size, cosigned_at, failure)
          select ${LOG_ID}, o.vkey, coalesce(o.size, 0), case when o.size is not null then clock_timestamp() end, o.failure
          from unnest(
            ${textArray(outcomes.map(({ vkey }) => vkey))},
            ${textArray(outcomes.map(({ cosigned }) => (cosigned === undefined ? null : String(cosigned))))}::bigint[],
            ${textArray(outcomes.map(({ failure }) => failure ?? null))}
          ) as o (vkey, size, failure)
          order by o.vkey
          on conflict (log_id, vkey) do update set
            size = greatest(w.size, excluded.size), cosigned_at = coalesce(excluded.cosigned_at, w.cosigned_at),
            failure = excluded.failure`
      })
      return { record }
    })
  )
}
