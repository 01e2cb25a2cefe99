import { Context, Effect, Layer, Metric } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import type { AdminAuditQuery, RecordedAct } from "./model.ts"

const conditionsOf = (
  sql: Sql,
  { action, actorId, after, since, targetId, until }: AdminAuditQuery,
  visibility: Visibility
): ReadonlyArray<Statement.Fragment> => {
  const conditions: Array<Statement.Fragment> = [sql`true`]
  if (visibility._tag === "orgs") conditions.push(sql`organization_id = any(${visibility.orgIds}::uuid[])`)
  if (action !== undefined) conditions.push(sql`action = ${action}`)
  if (actorId !== undefined) conditions.push(sql`actor_id = ${actorId}`)
  if (targetId !== undefined) conditions.push(sql`target_id = ${targetId}`)
  if (since !== undefined) conditions.push(sql`created_at >= ${since}`)
  if (until !== undefined) conditions.push(sql`created_at <= ${until}`)
  if (after !== undefined)
    conditions.push(sql`(created_at, id) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`)
  return conditions
}

const failures = Metric.counter("admin_audit_insert_failures", {
  description:
    "Acts that took effect without an entry in the admin audit: none, because both commit together.",
  incremental: true
})

/** Store of the admin audit; acts write it in their own transactions, see `adminAct`. */
export class AdminAudit extends Context.Service<
  AdminAudit,
  {
    /** A page, newest first, then by id; holds one act more than `limit` when there are more. */
    readonly list: (
      query: AdminAuditQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<RecordedAct>>
  }
>()("cp/admin-audit/AdminAudit") {
  static readonly layer = Layer.effect(
    AdminAudit,
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* Metric.update(failures, 0)

      const list = Effect.fn("AdminAudit.list")(function* (query: AdminAuditQuery, visibility: Visibility) {
        return yield* sql<RecordedAct>`
          select id, action, actor_id, target_id, details, request_id, created_at
          from admin_audit_log
          where ${sql.and(conditionsOf(sql, query, visibility))}
          order by created_at desc, id desc
          limit ${query.limit + 1}::int offset ${query.offset}::int`
      }, Effect.orDie)

      return { list }
    })
  )
}
