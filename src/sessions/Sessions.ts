import { Context, Effect, Layer, Option } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import type { Session, SessionQuery } from "./model.ts"

/** Columns of a `Session`, of the table alias `s`. */
const sessionColumns = (sql: Sql) => sql`
  s.session_id, s.aid_a, s.aid_b, s.status, s.grants, s.run_id, s.boundary_offer[2] as boundary,
  s.decided[4] as error, s.started_at,
  case when s.status = 'complete' then s.decided[3]::timestamptz end as completed_at, s.created_at, s.updated_at,
  s.namespace_offer[2] as namespace`

const visible = (sql: Sql, visibility: Visibility) =>
  visibility._tag === "all"
    ? sql`s.log_id = ${LOG_ID}`
    : sql`s.log_id = ${LOG_ID} and s.org_ids && ${visibility.orgIds}::uuid[]`

const listStatement = (sql: Sql, query: SessionQuery, visibility: Visibility) => {
  const { after, aid, limit, offset } = query
  const conditions: Array<Statement.Fragment> = [visible(sql, visibility)]
  if (query.status !== undefined)
    conditions.push(sql`s.status = ${query.status === "completed" ? "complete" : query.status}`)
  if (query.runId !== undefined) conditions.push(sql`s.run_id = ${query.runId}`)
  if (after !== undefined)
    conditions.push(sql`(s.created_at, s.session_id) < (${after.createdAt}::timestamptz, ${after.sessionId})`)
  const branch = (party: ReadonlyArray<Statement.Fragment>) => sql`(
    select ${sessionColumns(sql)} from handshake_sessions s
    where ${sql.and([...conditions, ...party])}
    order by s.created_at desc, s.session_id desc limit ${limit + offset + 1}::int)`
  // Either party: one ordered scan for each instead of a condition that no index orders.
  const found =
    aid === undefined
      ? branch([])
      : sql`${branch([sql`s.aid_a = ${aid}`])} union all ${branch([sql`s.aid_b = ${aid}`, sql`s.aid_a is distinct from ${aid}`])}`
  return sql<Session>`
    select * from (${found}) as page
    order by created_at desc, session_id desc limit ${limit + 1}::int offset ${offset}::int`
}

/** Store of handshake sessions; the ledger's append writes them. */
export class Sessions extends Context.Service<
  Sessions,
  {
    /** A page, newest `createdAt` first, then by id; holds one session more than `limit` when there are more. */
    readonly list: (query: SessionQuery, visibility: Visibility) => Effect.Effect<ReadonlyArray<Session>>
    readonly findById: (sessionId: string, visibility: Visibility) => Effect.Effect<Option.Option<Session>>
  }
>()("cp/sessions/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const list = Effect.fn("Sessions.list")(function* (query: SessionQuery, visibility: Visibility) {
        return yield* listStatement(sql, query, visibility)
      }, Effect.orDie)

      const findById = Effect.fn("Sessions.findById")(function* (sessionId: string, visibility: Visibility) {
        const [session] = yield* sql<Session>`
          select ${sessionColumns(sql)} from handshake_sessions s
          where s.session_id = ${sessionId} and ${visible(sql, visibility)}`
        return Option.fromNullishOr(session)
      }, Effect.orDie)

      return { list, findById }
    })
  )
}
