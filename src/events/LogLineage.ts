import { Context, Effect, Layer } from "effect"
import { Db } from "../db/Db.ts"
import { reasonOf } from "../db/unavailable.ts"
import { LOG_ID } from "./seal.ts"

/**
 * Whether the ledger still lives where its positions were given. After a restore, or on a promoted copy that was behind,
 * positions would be given a second time for other events, and every reader that remembers one would be misled.
 */
export class LogLineage extends Context.Service<
  LogLineage,
  {
    /** Binds a new ledger to this cluster; false when the ledger is bound to another cluster or timeline. */
    readonly claim: Effect.Effect<boolean>
    /** Binds the ledger to this cluster under a new epoch, which is returned. */
    readonly adopt: Effect.Effect<string>
  }
>()("cp/events/LogLineage") {
  static readonly layer = Layer.effect(
    LogLineage,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const claim = sql<{ readonly own: boolean }>`
        with here as materialized (
          select system_identifier, (select timeline_id from pg_control_checkpoint())::bigint as timeline
          from pg_control_system()
        ),
        bound as (
          update log_head h set system_identifier = here.system_identifier, timeline = here.timeline
          from here
          where h.log_id = ${LOG_ID} and h.system_identifier is null
          returning true as own
        )
        select own from bound
        union all
        select h.system_identifier = here.system_identifier and h.timeline = here.timeline
        from log_head h, here
        where h.log_id = ${LOG_ID} and h.system_identifier is not null`.pipe(
        Effect.map(([row]) => row?.own ?? false),
        // Some hosted databases do not tell; then it is for the operator to know.
        Effect.catchReason("SqlError", "AuthorizationError", (_reason, error) =>
          Effect.as(Effect.logWarning("cannot check the ledger's lineage", reasonOf(error)), true)
        ),
        Effect.withSpan("LogLineage.claim"),
        Effect.orDie
      )

      const adopt = sql<{ readonly epoch: string }>`
        update log_head h set
          epoch = encode(substring(uuid_send(gen_random_uuid()) from 1 for 4), 'hex'),
          system_identifier = here.system_identifier, timeline = here.timeline
        from (select system_identifier, (select timeline_id from pg_control_checkpoint())::bigint as timeline
              from pg_control_system()) as here
        where h.log_id = ${LOG_ID}
        returning h.epoch`.pipe(
        Effect.flatMap(([row]) =>
          row === undefined ? Effect.die(new Error("log_head has no row")) : Effect.succeed(row.epoch)
        ),
        Effect.withSpan("LogLineage.adopt"),
        Effect.orDie
      )

      return { adopt, claim }
    })
  )
}
