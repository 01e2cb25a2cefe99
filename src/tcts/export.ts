import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import { joinFacts } from "../revocation/facts-sql.ts"
import type { ListedTct } from "./model.ts"

/** A TCT of an export. */
export interface ExportedTct extends ListedTct {
  /** When it was first seen. */
  readonly createdAt: Date
}

/** Sort key of a TCT. */
export type TctPosition = Pick<ListedTct, "issuedAt" | "jti" | "issuerKey">

/** TCTs that belong into an export: those of a session, or those an agent has issued or been issued. */
export type TctOwner = { readonly sessionId: string } | { readonly aid: string }

/** Selects one TCT more than the page holds, if there is one; newest `issuedAt` first. */
export const exportStatement = (
  sql: Sql,
  owner: TctOwner,
  { after, limit }: { readonly after: TctPosition | undefined; readonly limit: number },
  visibility: Visibility
) => {
  const conditions: Array<Statement.Fragment> = [sql`t.log_id = ${LOG_ID}`]
  if (visibility._tag === "orgs") conditions.push(sql`t.org_ids && ${visibility.orgIds}::uuid[]`)
  if (after !== undefined) {
    conditions.push(
      sql`(t.issued_at, t.jti, t.issuer_key) < (${after.issuedAt}::timestamptz, ${after.jti}::uuid, ${after.issuerKey})`
    )
  }
  const branch = (own: ReadonlyArray<Statement.Fragment>) => sql`(
    select t.* from issued_tcts t
    where ${sql.and([...conditions, ...own])}
    order by t.issued_at desc, t.jti desc, t.issuer_key desc limit ${limit + 1}::int)`
  // Either party: one ordered scan for each instead of a condition that no index orders.
  const found =
    "sessionId" in owner
      ? branch([sql`t.session_id = ${owner.sessionId}`])
      : sql`${branch([sql`t.issuer_aid = ${owner.aid}`])} union all ${branch([sql`t.subject_aid = ${owner.aid}`, sql`t.issuer_aid <> ${owner.aid}`])}`
  return sql<ExportedTct>`
    select
      t.jti, t.issuer_aid as issuer, t.subject_aid as subject, t.audience_aid as audience,
      coalesce(t.grants, '[]') as grants, t.binding_cnf, t.issued_at, t.expires_at, t.session_id,
      f.at is not null as revoked, f.at as revoked_at, coalesce(f.sources, '{}') as revoked_by,
      f.reason as revoked_reason, t.signature_verified, t.conflict, t.reported_by, t.created_at, t.issuer_key
    from (
      select * from (${found}) as t order by t.issued_at desc, t.jti desc, t.issuer_key desc limit ${limit + 1}::int
    ) as t ${joinFacts(sql, "tct")}
    order by t.issued_at desc, t.jti desc, t.issuer_key desc`
}
