import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import type { Sql } from "../db/sql.ts"
import type { StoredEvent } from "./model.ts"
import { canonicalType } from "./types.ts"

/** Which events; an undefined filter matches everything. */
export interface EventFilters {
  /** Aliases of a type find each other. */
  readonly type: string | undefined
  /** Either party. */
  readonly aid: string | undefined
  readonly sessionId: string | undefined
  readonly runId: string | undefined
  readonly namespace: string | undefined
  readonly source: string | undefined
  /** First and last `ts`, both inclusive. */
  readonly since: Date | undefined
  readonly until: Date | undefined
}

/** Left out of every view that does not ask for it by name: events of the identity provider, and published lists. */
export const HIDDEN_SOURCE = "idp"
export const HIDDEN_TYPE = "revocation.list_published"

/** Every event that is not hidden. */
export const unfiltered: EventFilters = {
  type: undefined,
  aid: undefined,
  sessionId: undefined,
  runId: undefined,
  namespace: undefined,
  source: undefined,
  since: undefined,
  until: undefined
}

/** A page of history. */
export interface HistoryQuery extends EventFilters {
  /** By (`ts`, position). */
  readonly order: "asc" | "desc"
  readonly limit: number
  readonly offset: number
  /** Continue behind this event. */
  readonly after: { readonly ts: Date; readonly seq: number } | undefined
}

/** Columns of a `StoredEvent`, of the table alias `e`. Named as its fields, so that no row needs to be rewritten. */
export const storedColumns = (sql: Sql) => sql`
  e.seq::float8 as seq, e.id, e.type, e.ts, e.created_at as "createdAt", e.aid_a as "aidA", e.aid_b as "aidB",
  e.session_id as "sessionId", e.run_id as "runId", e.namespace, e.grants::text as grants, e.payload, e.source,
  e.reported_by as "reportedBy", e.artifacts`

/** What the filters, except `aid`, and the visibility ask of the table alias `e`. */
export const conditionsOf = (
  sql: Sql,
  { namespace, runId, sessionId, since, source, type, until }: EventFilters,
  visibility: Visibility
): Array<Statement.Fragment> => {
  const conditions: Array<Statement.Fragment> = [
    type === undefined
      ? sql`e.canonical_type <> ${HIDDEN_TYPE}`
      : sql`e.canonical_type = ${canonicalType(type)}`,
    source === undefined ? sql`e.source <> ${HIDDEN_SOURCE}` : sql`e.source = ${source}`
  ]
  if (visibility._tag === "orgs") conditions.push(sql`e.org_ids && ${visibility.orgIds}::uuid[]`)
  if (sessionId !== undefined) conditions.push(sql`e.session_id = ${sessionId}`)
  if (runId !== undefined) conditions.push(sql`e.run_id = ${runId}`)
  if (namespace !== undefined) conditions.push(sql`e.namespace = ${namespace}`)
  if (since !== undefined) conditions.push(sql`e.ts >= ${since}`)
  if (until !== undefined) conditions.push(sql`e.ts <= ${until}`)
  return conditions
}

/** Selects one event more than the page holds, if there is one. */
export const historyStatement = (sql: Sql, query: HistoryQuery, visibility: Visibility) => {
  const { after, aid, limit, offset } = query
  const ascending = query.order === "asc"
  // Qualified: the output column `seq` is a float, which no index orders.
  const scanOrder = ascending ? sql`order by e.ts, e.seq` : sql`order by e.ts desc, e.seq desc`
  const order = ascending ? sql`order by ts, seq` : sql`order by ts desc, seq desc`
  const conditions = conditionsOf(sql, query, visibility)
  if (after !== undefined) {
    conditions.push(
      ascending
        ? sql`(e.ts, e.seq) > (${after.ts}::timestamptz, ${after.seq}::bigint)`
        : sql`(e.ts, e.seq) < (${after.ts}::timestamptz, ${after.seq}::bigint)`
    )
  }
  const branch = (party: ReadonlyArray<Statement.Fragment>) => sql`(
    select ${storedColumns(sql)} from audit_events e
    where ${sql.and([...conditions, ...party])}
    ${scanOrder} limit ${limit + offset + 1}::int)`
  // Either party: one ordered scan for each instead of a condition that no index orders.
  const found =
    aid === undefined
      ? branch([])
      : sql`${branch([sql`e.aid_a = ${aid}`])} union all ${branch([sql`e.aid_b = ${aid}`, sql`e.aid_a is distinct from ${aid}`])}`
  return sql<StoredEvent>`select * from (${found}) as page ${order} limit ${limit + 1}::int offset ${offset}::int`
    .withoutTransform
}
