import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"

/** A join that adds the facts about `jti` of the table alias `t`: `f.at` and `f.reason` of the earliest, and `f.sources`. */
export const joinFacts = (sql: Sql) => sql`
  left join lateral (
    select
      min(x.revoked_at) as at, array_agg(distinct x.source order by x.source) as sources,
      (array_agg(x.reason order by x.revoked_at, x.source, x.event_id))[1] as reason
    from revocation_facts x
    where x.jti = t.jti and x.log_id = ${LOG_ID}
  ) as f on true`

/** The condition that there is no fact about `jti` of the table alias `t`. */
export const withoutFacts = (sql: Sql) => sql`
  not exists (select from revocation_facts x where x.jti = t.jti and x.log_id = ${LOG_ID})`
