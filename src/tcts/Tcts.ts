import { Context, Effect, Layer } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import { joinFacts, withoutFacts } from "../revocation/facts-sql.ts"
import type { ListedTct, TctQuery } from "./model.ts"

const conditionsOf = (
  sql: Sql,
  query: TctQuery,
  visibility: Visibility
): ReadonlyArray<Statement.Fragment> => {
  const { after } = query
  const conditions = [sql`t.log_id = ${LOG_ID}`]
  if (visibility._tag === "orgs") conditions.push(sql`t.org_ids && ${visibility.orgIds}::uuid[]`)
  if (query.issuer !== undefined) conditions.push(sql`t.issuer_aid = ${query.issuer}`)
  if (query.subject !== undefined) conditions.push(sql`t.subject_aid = ${query.subject}`)
  if (query.audience !== undefined) conditions.push(sql`t.audience_aid = ${query.audience}`)
  if (query.sessionId !== undefined) conditions.push(sql`t.session_id = ${query.sessionId}`)
  if (query.jti !== undefined) conditions.push(sql`t.jti = ${query.jti}::uuid`)
  if (query.capability !== undefined) conditions.push(sql`t.grants @> ${sql.json([query.capability])}`)
  if (query.active) {
    conditions.push(withoutFacts(sql, "tct"), sql`(t.expires_at is null or t.expires_at > clock_timestamp())`)
  }
  if (after !== undefined) {
    conditions.push(
      sql`(t.issued_at, t.jti, t.issuer_key) < (${after.issuedAt}::timestamptz, ${after.jti}::uuid, ${after.issuerKey})`
    )
  }
  return conditions
}

/** Store of observed TCTs; the ledger's append writes them. */
export class Tcts extends Context.Service<
  Tcts,
  {
    /** A page, newest `issuedAt` first, then by id and issuer; holds one TCT more than `limit` when there are more. */
    readonly list: (query: TctQuery, visibility: Visibility) => Effect.Effect<ReadonlyArray<ListedTct>>
  }
>()("cp/tcts/Tcts") {
  static readonly layer = Layer.effect(
    Tcts,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const list = Effect.fn("Tcts.list")(function* (query: TctQuery, visibility: Visibility) {
        return yield* sql<ListedTct>`
          select
            t.jti, t.issuer_aid as issuer, t.subject_aid as subject, t.audience_aid as audience,
            coalesce(t.grants, '[]') as grants, t.binding_cnf, t.issued_at, t.expires_at, t.session_id,
            f.at is not null as revoked, f.at as revoked_at, coalesce(f.sources, '{}') as revoked_by,
            f.reason as revoked_reason, t.signature_verified, t.conflict, t.reported_by, t.issuer_key
          from (
            select t.* from issued_tcts t
            where ${sql.and(conditionsOf(sql, query, visibility))}
            order by t.issued_at desc, t.jti desc, t.issuer_key desc
            limit ${query.limit + 1}::int offset ${query.offset}::int
          ) as t ${joinFacts(sql, "tct")}
          order by t.issued_at desc, t.jti desc, t.issuer_key desc`
      }, Effect.orDie)

      return { list }
    })
  )
}
