import { Context, Effect, Layer } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import { joinFacts, withoutFacts } from "../revocation/facts-sql.ts"
import type { Delegation, DelegationQuery, DelegationTree, TreeDelegation } from "./model.ts"

/** Delegations of one tree that are answered. */
export const MAX_TREE = 10_000

/** Columns of a `Delegation`, of the table alias `t` joined with its facts. */
const columns = (sql: Sql) => sql`
  t.jti, t.parent_jti, t.delegator_aid as delegator, t.delegatee_aid as delegatee,
  coalesce(t.scope, '[]') as scope, t.issued_at, t.expires_at,
  coalesce(f.at, t.ancestor_revoked_at) is not null as revoked,
  coalesce(f.at, t.ancestor_revoked_at) as revoked_at,
  case when f.at is not null then 'explicit' when t.ancestor_revoked_at is not null then 'parent_revoked' end
    as revoked_reason,
  t.synthetic, t.signature_verified, t.conflict`

/** Columns that a walk down a tree takes along. */
const walked = (sql: Sql) => sql`
  t.jti, t.parent_jti, t.delegator_aid, t.delegatee_aid, t.scope, t.issued_at, t.expires_at, t.ancestor_revoked_at,
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
      withoutFacts(sql),
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
    /**
     * The delegation with this id, if there is one, and everything below it. A caller who may not see a delegation
     * does not see what lies below it either.
     */
    readonly tree: (rootJti: string, visibility: Visibility) => Effect.Effect<DelegationTree>
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
          ) as t ${joinFacts(sql)}
          order by t.issued_at desc, t.jti desc`
      }, Effect.orDie)

      // Everyone has one parent, so without the root nothing below it is met twice, and a cycle can only lead through
      // the root. The limit stops the walk itself, which goes level by level. Planned for each call: a plan made while the
      // table was small scans all of it at each step.
      const tree = Effect.fn("Delegations.tree")(function* (rootJti: string, visibility: Visibility) {
        const found = yield* sql<TreeDelegation>`
          with recursive below as (
            select ${walked(sql)}, case when t.jti = ${rootJti}::uuid then 0 else 1 end as depth
            from delegations t
            where (t.jti = ${rootJti}::uuid or t.parent_jti = ${rootJti}::uuid) and ${visible(sql, visibility)}
            union all
            select ${walked(sql)}, b.depth + 1
            from below b join delegations t on t.parent_jti = b.jti
            where b.depth > 0 and t.jti <> ${rootJti}::uuid and ${visible(sql, visibility)}
          )
          select ${columns(sql)}, t.depth
          from (select * from below limit ${MAX_TREE + 1}::int) as t ${joinFacts(sql)}
          order by t.issued_at, t.jti`.unprepared
        return found.length > MAX_TREE
          ? { delegations: found.slice(0, MAX_TREE), truncated: true }
          : { delegations: found, truncated: false }
      }, Effect.orDie)

      return { list, tree }
    })
  )
}
