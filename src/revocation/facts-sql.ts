import type { Statement } from "effect/sql"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"

/** What the table alias `t` holds. */
type Revocable = "tct" | "delegation"

// A fact holds for whatever has the id. What an issuer has revoked by a list of its own holds for what it has issued:
// issuers are compared in one spelling.

const facts = (sql: Sql) => sql`revocation_facts f where f.jti = t.jti and f.log_id = ${LOG_ID}`

const issuerRevocations = (sql: Sql, kind: Revocable): Statement.Fragment => sql`issuer_revocations r
  where r.jti = t.jti and r.log_id = ${LOG_ID}
    and r.issuer_key = ${kind === "tct" ? sql`t.issuer_key` : sql`compared_v1('delegator', t.delegator_aid)`}`

/** A join that adds what revokes the table alias `t`: `f.at` and `f.reason` of the earliest, and `f.sources`. */
export const joinFacts = (sql: Sql, kind: Revocable) => sql`
  left join lateral (
    select
      min(x.revoked_at) as at, array_agg(distinct x.source order by x.source) as sources,
      (array_agg(x.reason order by x.revoked_at, x.source, x.event_id))[1] as reason
    from (
      select f.source, f.revoked_at, f.reason, f.event_id from ${facts(sql)}
      union all
      select 'issuer', r.revoked_at, r.reason, null from ${issuerRevocations(sql, kind)}
    ) as x
  ) as f on true`

/** The condition that nothing revokes the table alias `t`. */
export const withoutFacts = (sql: Sql, kind: Revocable) => sql`
  not exists (select from ${facts(sql)}) and not exists (select from ${issuerRevocations(sql, kind)})`

/** The earliest time that `joinFacts` gives, for thousands of rows: without any list of an issuer none is looked for. */
export const earliestFact = (sql: Sql, kind: Revocable) => sql`least(
  (select min(f.revoked_at) from ${facts(sql)}),
  case when exists (select from issuer_revocations) then (select r.revoked_at from ${issuerRevocations(sql, kind)}) end)`
