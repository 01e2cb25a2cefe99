import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { AppConfig } from "../config.ts"
import { BackgroundDb } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { IdempotencyKeys } from "../idempotency/IdempotencyKeys.ts"

/** A table whose rows age out one by one. */
export interface ExpiringTable {
  readonly name: string
  /** Rows from before this age, in days, go; undefined keeps them for ever. */
  readonly maxAgeDays: number | undefined
  /** Removes at most `limit` rows from before that time; gives their number, which is lower only when none are left. */
  readonly remove: (before: Date, limit: number) => Effect.Effect<number, SqlError.SqlError>
}

/** 0 keeps for ever. */
const lasting = (days: number) => (days === 0 ? undefined : days)

const count = <R>(removed: Effect.Effect<ReadonlyArray<R>, SqlError.SqlError>) =>
  Effect.map(removed, ({ length }) => length)

/**
 * Store of everything that ages out, except the ledger itself. What says what is true now is never among it: TCTs,
 * delegations, revocations, trust anchors, pinned keys, agents in service or expired, tombstones.
 */
export class ExpiredRows extends Context.Service<
  ExpiredRows,
  { readonly tables: ReadonlyArray<ExpiringTable> }
>()("cp/retention/ExpiredRows") {
  static readonly layer = Layer.effect(
    ExpiredRows,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const { retention } = yield* AppConfig
      const { prune } = yield* IdempotencyKeys
      const tables: ReadonlyArray<ExpiringTable> = [
        {
          // Attempts go with their delivery. What still waits to be sent stays, however old.
          name: "webhook_deliveries",
          maxAgeDays: lasting(retention.webhookDeliveryDays),
          remove: (before, limit) =>
            count(sql`
              delete from webhook_deliveries where ctid = any(array(
                select d.ctid
                from webhooks w
                cross join lateral (
                  select d.ctid from webhook_deliveries d
                  where d.webhook_id = w.id and d.created_at < ${before} and d.status in ('delivered', 'failed')
                  order by d.created_at, d.id
                  limit ${limit}::int
                  for update skip locked
                ) as d
                limit ${limit}::int))
              returning 1 as removed`)
        },
        {
          name: "admin_audit_log",
          maxAgeDays: lasting(retention.adminAuditDays),
          remove: (before, limit) =>
            count(sql`
              delete from admin_audit_log where ctid = any(array(
                select ctid from admin_audit_log where created_at < ${before}
                order by created_at, id limit ${limit}::int for update skip locked))
              returning 1 as removed`)
        },
        {
          name: "idempotency_keys",
          maxAgeDays: lasting(retention.idempotencyKeyDays),
          remove: prune
        },
        {
          // Spent tokens, which nobody could use any more anyway.
          name: "enrollment_jtis",
          maxAgeDays: 0,
          remove: (before, limit) =>
            count(sql`
              delete from enrollment_jtis where ctid = any(array(
                select ctid from enrollment_jtis where expires_at < ${before}
                order by expires_at limit ${limit}::int for update skip locked))
              returning 1 as removed`)
        },
        {
          // Of those that were taken out; a tombstone stays.
          name: "agents",
          maxAgeDays: lasting(retention.expiredAgentGraceDays),
          remove: (before, limit) =>
            Effect.map(
              sql<{ readonly removed: number }>`
                select remove_agents_v1(${LOG_ID}::smallint, ${before}::timestamptz, ${limit}::int) as removed`,
              ([row]) => row?.removed ?? 0
            )
        }
      ]
      return { tables }
    })
  )
}
