import { Effect } from "effect"
import { authorization } from "./client.ts"
import { reports } from "./events.ts"
import type { Answer, Load } from "./load.ts"
import { BenchError } from "./model.ts"
import type { Sql } from "./postgres.ts"

/** Events of a batch, and connections that report them. */
export const BATCH = 100
export const BATCH_CONNECTIONS = 8
export const SINGLE_CONNECTIONS = 32

interface Ingested {
  readonly inserted: number
  readonly duplicates: number
  readonly dropped: number
  readonly position: string | null
}

/** Reports of so many events each; every answer must say that all of them are new and stored, and where. */
export const reportLoad = (url: string, connections: number, size: number): Omit<Load, "seconds"> => {
  const body = reports(size)
  const check = ({ body: text, status }: Answer) => {
    if (status !== 200) return "status"
    const { dropped, duplicates, inserted, position } = JSON.parse(text) as Ingested
    if (inserted !== size || duplicates !== 0 || dropped !== 0) return "not all were stored"
    return position === null ? "no position" : undefined
  }
  const headers = { ...authorization, "content-type": "application/json" }
  return { url, connections, shots: [{ method: "POST", path: "/api/events", headers, body, check }] }
}

/** Newest position of the ledger. */
export const headOf = (sql: Sql): Effect.Effect<number> =>
  Effect.orDie(
    Effect.map(
      sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`,
      ([row]) => row?.seq ?? 0
    )
  )

/**
 * What is in the ledger must be what was acknowledged, at positions without a gap; so many more may have been stored as
 * were under way when the load ended.
 */
export const checkLedger = Effect.fnUntraced(function* (sql: Sql, acknowledged: number, underWay: number) {
  const [row] = yield* sql<{
    readonly all: number
    readonly ids: number
    readonly last: number
    readonly reported: number
  }>`
    select count(*)::float8 as all, count(distinct id)::float8 as ids, coalesce(max(seq), 0)::float8 as last,
      (count(*) filter (where source = 'bench'))::float8 as reported
    from audit_events`
  const { all = 0, ids = 0, last = 0, reported = 0 } = row ?? {}
  if (all !== ids || all !== last)
    return yield* Effect.fail(new BenchError(`${all} events, ${ids} ids, last position ${last}`))
  if (reported < acknowledged || reported > acknowledged + underWay)
    return yield* Effect.fail(
      new BenchError(`${acknowledged} events were acknowledged, ${reported} are stored`)
    )
})
