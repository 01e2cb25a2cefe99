import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import type { textArray } from "../db/arrays.ts"
import type { Sql } from "../db/sql.ts"
import { visibleAgents } from "../registry/discovery.ts"
import type { AgentActivity, Overview, Range, ranges } from "./model.ts"

/** How far ahead a reporter's clock may be for its events to count as of now. */
const CLOCK_SKEW = "1 minute"

/** Boundaries are the reporters' to choose, so there may be any number of them. */
const MAX_BOUNDARIES = 1000
const TOP_CAPABILITIES = 10

// Only one log is in use; naming it would keep these counts from being answered by indexes alone.
const ofOrgs = (sql: Sql, orgIds: Statement.Fragment, visibility: Visibility): Statement.Fragment =>
  visibility._tag === "all" ? sql`true` : sql`${orgIds} && ${visibility.orgIds}::uuid[]`

const visibleDeliveries = (sql: Sql, visibility: Visibility): Statement.Fragment =>
  visibility._tag === "all"
    ? sql`true`
    : sql`exists (select from webhooks w where w.id = d.webhook_id and w.organization_id = any(${visibility.orgIds}::uuid[]))`

/** Counts an overview, one row. The range is part of the text, so that each has a plan of its own. */
export const overviewStatement = (
  sql: Sql,
  { bucket, interval }: (typeof ranges)[Range],
  visibility: Visibility
) => {
  const since = sql`(now() - interval ${sql.literal(`'${interval}'`)})`
  const until = sql`(now() + interval ${sql.literal(`'${CLOCK_SKEW}'`)})`
  const sessions = ofOrgs(sql, sql`s.org_ids`, visibility)
  const events = sql`e.ts >= ${since} and e.ts <= ${until} and ${ofOrgs(sql, sql`e.org_ids`, visibility)}`
  return sql<Overview>`
    with session as materialized (
      select coalesce(s.boundary_offer[2], 'unknown') as boundary, s.status, count(*) as n
      from handshake_sessions s
      where s.created_at >= ${since} and ${sessions}
      group by 1, 2
    ),
    invocation as materialized (
      select e.capability, count(*) as n
      from audit_events e
      where e.canonical_type = 'capability.invoked' and ${events}
      group by 1
    )
    select
      ${since} as since,
      (
        select count(*)::int from agents a
        where a.status = 'active' and a.manifest_expires_at > now() and ${visibleAgents(sql, visibility)}
      ) as agents_registered,
      (select count(*)::int from handshake_sessions s where ${sessions}) as handshakes_total,
      (select coalesce(sum(n), 0)::int from session) as handshakes_in_range,
      (select coalesce(sum(n), 0)::int from session where status = 'complete') as handshakes_success_in_range,
      (select coalesce(sum(n), 0)::int from session where status = 'started') as active_sessions,
      (select coalesce(sum(n), 0)::int from invocation) as capability_invocations_in_range,
      (
        select count(*)::int from webhook_deliveries d
        where d.status = 'pending' and ${visibleDeliveries(sql, visibility)}
      ) as pending_webhook_deliveries,
      (
        select coalesce(jsonb_agg(jsonb_build_object('boundary', boundary, 'count', n) order by n desc, boundary), '[]')
        from (
          select boundary, sum(n) as n from session group by boundary order by n desc, boundary limit ${MAX_BOUNDARIES}
        ) as b
      ) as handshakes_by_boundary,
      (
        select coalesce(jsonb_agg(jsonb_build_object('bucket', iso_v1(at), 'count', n) order by at), '[]')
        from (
          select date_bin(interval ${sql.literal(`'1 ${bucket}'`)}, e.ts, timestamptz '2000-01-01 00:00:00Z') as at, count(*) as n
          from audit_events e
          where e.canonical_type in ('handshake.started', 'handshake.complete') and ${events}
          group by 1
        ) as b
      ) as handshakes_over_time,
      (
        select coalesce(jsonb_agg(jsonb_build_object('capability', capability, 'count', n) order by n desc, capability), '[]')
        from (
          select capability, n from invocation where capability is not null
          order by n desc, capability limit ${TOP_CAPABILITIES}
        ) as c
      ) as top_capabilities`
}

/** Counts what each of the given agents has taken part in. */
export const activityStatement = (sql: Sql, aids: ReturnType<typeof textArray>, visibility: Visibility) => {
  const sessions = ofOrgs(sql, sql`s.org_ids`, visibility)
  return sql<AgentActivity>`
    select
      x.aid,
      (
        select count(*)::int from handshake_sessions s where s.aid_a = x.aid and ${sessions}
      ) as handshakes_as_initiator,
      (
        select count(*)::int from handshake_sessions s where s.aid_b = x.aid and ${sessions}
      ) as handshakes_as_responder,
      (
        select count(*)::int from audit_events e
        where e.canonical_type = 'capability.invoked' and e.aid_a = x.aid and ${ofOrgs(sql, sql`e.org_ids`, visibility)}
      ) as capability_invocations
    from unnest(${aids}::text[]) with ordinality as x (aid, n)
    order by x.n`
}
