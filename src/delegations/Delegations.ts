import { Context, Effect, Layer } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import { joinFacts, withoutFacts } from "../revocation/facts-sql.ts"
import type { Delegation, DelegationQuery } from "./model.ts"

/** Columns of a `Delegation`, of the table alias `t` joined with its facts. */
const columns = (sql: Sql) => sql`
  t.jti, t.parent_jti, t.delegator_aid as delegator, t.delegatee_aid as delegatee,
  coalesce(t.scope, '[]') as scope, t.issued_at, t.expires_at,
  coalesce(f.at, t.ancestor_revoked_at) is not null as revoked,
  coalesce(f.at, t.ancestor_revoked_at) as revoked_at,
  case when f.at is not null then 'explicit' when t.ancestor_revoked_at is not null then 'parent_revoked' end
    as revoked_reason,
  t.synthetic, t.signature_verified, t.conflict`

const visible = (sql: Sql, visibility: Visibility) =>
  visibility._tag === "all"
    ? sql`t.log_id = ${LOG_ID}`
    : sql`t.log_id = ${LOG_ID} and t.org_ids && ${visibility.orgIds}::uuid[]`

const conditionsOf = (
  sql: Sql,
  query: DelegationQuery,
  visibility: Visibility
): ReadonlyArray<Statement.Fragment> => {
  const { after } = query
  const conditions: Array<Statement.Fragment> = [visible(sql, visibility)]
  if (query.parentJti !== undefined) conditions.push(sql`t.parent_jti = ${query.parentJti}::uuid`)
  if (query.delegator !== undefined) conditions.push(sql`t.delegator_aid = ${query.delegator}`)
  if (query.delegatee !== undefined) conditions.push(sql`t.delegatee_aid = ${query.delegatee}`)
  if (query.active) {
    conditions.push(
      sql`t.ancestor_revoked_at is null`,
      withoutFacts(sql, "delegation"),
      sql`(t.expires_at is null or t.expires_at > clock_timestamp())`
    )
  }
  if (after !== undefined)
    conditions.push(sql`(t.issued_at, t.jti) < (${after.issuedAt}::timestamptz, ${after.jti}::uuid)`)
  return conditions
}

/** Store of observed delegations; the ledger's append writes them. */
export class Delegations extends Context.Service<
  Delegations,
  {
    /** A page, newest `issuedAt` first, then by id; holds one delegation more than `limit` when there are more. */
    readonly list: (
      query: DelegationQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<Delegation>>
  }
>()("cp/delegations/Delegations") {
  static readonly layer = Layer.effect(
    Delegations,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const list = Effect.fn("Delegations.list")(function* (query: DelegationQuery, visibility: Visibility) {
        return yield* sql<Delegation>`
          select ${columns(sql)}
          from (
            select t.* from delegations t
            where ${sql.and(conditionsOf(sql, query, visibility))}
            order by t.issued_at desc, t.jti desc
            limit ${query.limit + 1}::int offset ${query.offset}::int
          ) as t ${joinFacts(sql, "delegation")}
          order by t.issued_at desc, t.jti desc`
      }, Effect.orDie)

      return { list }
    })
  )
}
