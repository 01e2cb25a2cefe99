import { Effect } from "effect"
import { BATCH } from "./ingest.ts"
import { checkpoint, type Sql } from "./postgres.ts"

/**
 * The rows that came of a range of events, written again by one connection as plain inserts into empty tables with the same
 * columns and indexes: one statement for each 100 events, one `unnest` a table, each a transaction of its own.
 */

/** The tables that ingest writes, and which of their rows came of the events from position $1 to $2. */
const tables = {
  audit_events: "seq between $1 and $2",
  event_ids: "seq between $1 and $2",
  handshake_sessions: `session_id in (
    select session_id from audit_events where seq between $1 and $2 and type = 'handshake.started')`,
  issued_tcts: "event_seq between $1 and $2",
  delegations: "event_seq between $1 and $2"
} as const

export type Table = keyof typeof tables

export const allTables = Object.keys(tables) as ReadonlyArray<Table>

interface Column {
  readonly name: string
  readonly type: string
  readonly isArray: boolean
}

type Columns = ReadonlyArray<readonly [Table, ReadonlyArray<Column>]>

const columnsOf = Effect.fnUntraced(function* (sql: Sql, table: Table) {
  return yield* sql<Column>`
    select a.attname as name, format_type(a.atttypid, null) as type, t.typcategory = 'A' as "isArray"
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    order by a.attnum`
})

/** One statement with an insert for each table; its parameters are one array literal for each column. */
const insertStatement = (columns: Columns): string => {
  let parameters = 0
  const inserts = columns.map(([table, list], index) => {
    const values = list.map(({ isArray, name, type }) => (isArray ? `${name}::${type}` : name)).join(", ")
    const arrays = list.map(
      ({ isArray, type }) => `$${(parameters += 1)}::text::${isArray ? "text" : type}[]`
    )
    const listed = list.map(({ name }) => name).join(", ")
    return `i${index} as (insert into bench_plain.${table} (${listed})
      select ${values} from unnest(${arrays.join(", ")}) as t (${listed}))`
  })
  return `with ${inserts.join(", ")} select`
}

/** The parameters of that statement for the rows that came of the events from one position on. */
const rowsOf = Effect.fnUntraced(function* (sql: Sql, columns: Columns, from: number) {
  const parameters: Array<string> = []
  for (const [table, list] of columns) {
    const arrays = list.map(
      ({ isArray, name }, i) => `array_agg(${name}${isArray ? "::text" : ""})::text as c${i}`
    )
    const [row] = yield* sql.unsafe<Record<string, string | null>>(
      `select ${arrays.join(", ")} from ${table} where ${tables[table]}`,
      [from, from + BATCH - 1]
    )
    parameters.push(...list.map((_, i) => row?.[`c${i}`] ?? "{}"))
  }
  return parameters
})

/** Events written before the clock starts, as the service was warmed up too. */
const WARM_EVENTS = 2000
/** Most events that are measured: enough for a rate, and bounded memory for their rows. */
const MEASURED_EVENTS = 30_000

/** Writes the rows of the first events of the ledger again; gives events/s. Nobody else may be using the database. */
export const writePlain = Effect.fnUntraced(function* (
  sql: Sql,
  names: ReadonlyArray<Table>,
  events: number
) {
  yield* sql`drop schema if exists bench_plain cascade`.unprepared
  yield* sql`create schema bench_plain`.unprepared
  for (const name of names)
    yield* sql.unsafe(`create table bench_plain.${name} (like ${name} including all)`).unprepared
  const columns = yield* Effect.forEach(names, (name) =>
    Effect.map(columnsOf(sql, name), (list) => [name, list] as const)
  )
  const statement = insertStatement(columns)
  const batches: Array<ReadonlyArray<string>> = []
  for (let from = 1; from + BATCH - 1 <= Math.min(events, WARM_EVENTS + MEASURED_EVENTS); from += BATCH)
    batches.push(yield* rowsOf(sql, columns, from))
  const warming = Math.min(WARM_EVENTS / BATCH, Math.floor(batches.length / 4))
  yield* checkpoint(sql)
  for (const parameters of batches.slice(0, warming)) yield* sql.unsafe(statement, parameters)
  const begun = performance.now()
  for (const parameters of batches.slice(warming)) yield* sql.unsafe(statement, parameters)
  return ((batches.length - warming) * BATCH * 1000) / (performance.now() - begun)
})
