import { Context, Effect, Layer } from "effect"
import type { SqlError, Statement } from "effect/sql"
import { BackgroundDb, Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { conditionsOf, storedColumns } from "../events/history.ts"
import type { StoredEvent } from "../events/model.ts"
import { LOG_ID } from "../events/seal.ts"
import type { Extent } from "./position.ts"
import type { Selection } from "./selection.ts"

/** A stored event with what decides who gets it. */
export interface LedgerRow extends StoredEvent {
  readonly orgIds: ReadonlyArray<string>
}

/** Positions `after` < seq ≤ `upTo`, at most `limit` events of them. */
export interface Window {
  readonly after: number
  readonly upTo: number
  readonly limit: number
}

const columns = (sql: Sql) => sql`${storedColumns(sql)}, e.org_ids::text[] as "orgIds"`

const selected = (sql: Sql, selection: Selection): ReadonlyArray<Statement.Fragment> => {
  const { aid, visibility } = selection
  const conditions = conditionsOf(sql, selection, visibility)
  return aid === undefined ? conditions : [...conditions, sql`(e.aid_a = ${aid} or e.aid_b = ${aid})`]
}

/** The ledger in the order of its positions. */
export class LedgerPages extends Context.Service<
  LedgerPages,
  {
    /** On the background pool: however busy requests are, the tail goes on. */
    readonly extent: Effect.Effect<Extent, SqlError.SqlError>
    /** The next events of the whole ledger; on the background pool. */
    readonly next: (
      after: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<LedgerRow>, SqlError.SqlError>
    /** The selected events of a window, in order. */
    readonly select: (
      selection: Selection,
      window: Window
    ) => Effect.Effect<ReadonlyArray<LedgerRow>, SqlError.SqlError>
  }
>()("cp/stream/LedgerPages") {
  static readonly layer = Layer.effect(
    LedgerPages,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { sql: background } = yield* BackgroundDb
      const extent = Effect.gen(function* () {
        const [row] = yield* background<Extent>`
          select h.epoch, h.seq::float8 as head,
            coalesce((select min(e.seq) from audit_events e where e.log_id = ${LOG_ID}), h.seq + 1)::float8 as oldest
          from log_head h where h.log_id = ${LOG_ID}`
        return row ?? (yield* Effect.die(new Error("the ledger has no head row")))
      })

      // Every row above the cursor is read: positions have no holes, and a row that is visible has no later one below.
      const next = (after: number, limit: number) =>
        background<LedgerRow>`
          select ${columns(background)} from audit_events e
          where e.log_id = ${LOG_ID} and e.seq > ${after}::bigint
          order by e.seq limit ${limit}::int`.withoutTransform

      const select = (selection: Selection, { after, limit, upTo }: Window) => sql<LedgerRow>`
        select ${columns(sql)} from audit_events e
        where e.log_id = ${LOG_ID} and e.seq > ${after}::bigint and e.seq <= ${upTo}::bigint
          and ${sql.and(selected(sql, selection))}
        order by e.seq limit ${limit}::int`

      return { extent, next, select }
    })
  )
}
