import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { parseAid, spellingsOf } from "../aitp/aid.ts"
import type { Sql } from "../db/sql.ts"
import type { Agent, AgentStatus } from "./model.ts"

/** A page of discovery; absent filters match everything. */
export interface AgentQuery {
  /** Exact member of `offeredCaps`. */
  readonly capability: string | undefined
  /** Either spelling. */
  readonly aid: string | undefined
  readonly displayName: string | undefined
  readonly namespace: string | undefined
  readonly status: AgentStatus | "all"
  readonly includeManifest: boolean
  readonly limit: number
  readonly offset: number
  /** Continue behind this agent. */
  readonly after: { readonly registeredAt: Date; readonly aid: string } | undefined
}

/** Columns of an `Agent`, of the table aliases `a` (agents) and `s` (agent_last_seen). */
export const agentColumns = (sql: Sql) => sql`
  a.aid, a.display_name, a.handshake_endpoint, a.offered_caps,
  case when a.status = 'active' and a.manifest_expires_at <= now() then 'expired' else a.status end as status,
  a.namespace, a.registered_at, a.last_enrolled_at, s.last_seen_at, a.deregistered_at, a.manifest_expires_at,
  a.manifest_published_at, a.manifest_sha256, a.verified_at, a.conformance_findings`

/** Rows that failed the integrity check are withheld from everybody. */
export const visibleAgents = (sql: Sql, visibility: Visibility): Statement.Fragment =>
  visibility._tag === "all"
    ? sql`a.integrity_ok`
    : sql`a.integrity_ok and a.org_id = any(${visibility.orgIds}::uuid[])`

const ofStatus = (sql: Sql, status: AgentQuery["status"]): Statement.Fragment => {
  switch (status) {
    case "active":
      return sql`a.status = 'active' and a.manifest_expires_at > now()`
    case "expired":
      return sql`(a.status = 'expired' or (a.status = 'active' and a.manifest_expires_at <= now()))`
    case "deregistered":
      return sql`a.status = 'deregistered'`
    case "all":
      return sql`true`
  }
}

/** Selects one agent more than the page holds, if there is one; oldest registration first. */
export const listStatement = (sql: Sql, query: AgentQuery, visibility: Visibility) => {
  const conditions: Array<Statement.Fragment> = [visibleAgents(sql, visibility), ofStatus(sql, query.status)]
  if (query.capability !== undefined) conditions.push(sql`a.offered_caps @> ${sql.json([query.capability])}`)
  if (query.aid !== undefined) {
    const aid = parseAid(query.aid)
    conditions.push(sql`a.aid = any(${aid === undefined ? [query.aid] : spellingsOf(aid)})`)
  }
  if (query.displayName !== undefined) conditions.push(sql`a.display_name = ${query.displayName}`)
  if (query.namespace !== undefined) conditions.push(sql`a.namespace = ${query.namespace}`)
  if (query.after !== undefined) {
    conditions.push(
      sql`(a.registered_at, a.aid) > (${query.after.registeredAt}::timestamptz, ${query.after.aid})`
    )
  }
  return sql<Agent & { readonly manifestJson?: string }>`
    select ${agentColumns(sql)} ${query.includeManifest ? sql`, a.manifest_json` : sql``}
    from agents a left join agent_last_seen s on s.aid = a.aid
    where ${sql.and(conditions)}
    order by a.registered_at, a.aid
    limit ${query.limit + 1}::int offset ${query.offset}::int`
}
