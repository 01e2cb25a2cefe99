import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { Agent, request } from "node:http"
import type { Sql } from "../src/db/sql.ts"

/**
 * Compares what a running service ingests with what its Postgres accepts through one connection for the same rows, and
 * prints medians and ratios over several rounds. Each round reports batches of 100 events, then writes the rows that
 * came of them again as plain inserts into empty tables with the same columns and indexes, one statement for each 100
 * events with one `unnest` a table, each a transaction of its own; then reports single events. Nothing else runs
 * meanwhile. The tables are kept in the schema `bench_plain` and dropped at the end.
 *
 * node scripts/bench-ingest.ts [rounds=5] [seconds=5]
 *
 * DATABASE_URL  of the service
 * CP_URL        the service (http://localhost:4000), started with RATE_LIMIT_ENABLED=false
 * CP_API_KEY    an API key of it
 */

const url = new URL("/api/events", process.env["CP_URL"] ?? "http://localhost:4000")
const [rounds = 5, seconds = 5] = process.argv.slice(2).map(Number)
const BATCH = 100
const BATCH_CONNECTIONS = 8
const SINGLE_CONNECTIONS = 32

const agent = new Agent({ keepAlive: true, maxSockets: SINGLE_CONNECTIONS })

const post = (body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body)
    }
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => (text += part))
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`))
      )
    })
    sent.on("error", reject)
    sent.end(body)
  })

const among = (prefix: string, count: number) => `${prefix}-${Math.floor(Math.random() * count)}`

/** Two agents meet, one calls the other, one delegates: the six events that a runner reports of it. */
const encounter = () => {
  const [aidA, aidB] = [among("agent-a", 50), among("agent-b", 50)]
  const [sessionId, jti] = [randomUUID(), randomUUID()]
  const event = (type: string, payload: unknown) => ({
    type,
    ts: new Date().toISOString(),
    aidA,
    aidB,
    sessionId,
    runId: among("run", 20),
    source: "bench",
    payload
  })
  const iat = Math.floor(Date.now() / 1000)
  const note = "x".repeat(150)
  return [
    event("handshake.started", { boundary: "bench", note }),
    event("handshake.complete", { boundary: "bench", note }),
    event("tct.issued", {
      tct: { jti, iss: aidA, sub: aidB, aud: aidB, grants: ["a.b.c"], iat, exp: iat + 3600 }
    }),
    event("capability.invoked", { capability: "a.b.c", note }),
    event("delegation.issued", {
      jti: randomUUID(),
      parent_jti: jti,
      delegator_aid: aidB,
      delegatee_aid: among("agent-c", 50),
      scope: ["a.b"]
    }),
    event("log.line", { note })
  ]
}

/** Reports for some seconds over some connections; gives events/s as acknowledged. */
const report = async (connections: number, size: number) => {
  let events = 0
  const begun = performance.now()
  const until = begun + seconds * 1000
  const connection = async () => {
    let ready: Array<unknown> = []
    while (performance.now() < until) {
      while (ready.length < size) ready = ready.concat(encounter())
      const { inserted } = JSON.parse(await post(JSON.stringify(ready.splice(0, size)))) as {
        inserted: number
      }
      if (inserted !== size) throw new Error(`${inserted} of ${size} events were inserted`)
      events += size
    }
  }
  await Promise.all(Array.from({ length: connections }, connection))
  return (events * 1000) / (performance.now() - begun)
}

/** The tables that ingest writes here, and which of their rows came of the events from position $1 to $2. */
const tables = {
  audit_events: "seq between $1 and $2",
  event_ids: "seq between $1 and $2",
  handshake_sessions: `session_id in (
    select session_id from audit_events where seq between $1 and $2 and type = 'handshake.started')`,
  issued_tcts: "event_seq between $1 and $2",
  delegations: "event_seq between $1 and $2"
} as const
type Table = keyof typeof tables
const names = Object.keys(tables) as ReadonlyArray<Table>

interface Column {
  readonly name: string
  readonly type: string
  readonly isArray: boolean
}

const columnsOf = Effect.fn(function* (sql: Sql, table: Table) {
  return yield* sql<Column>`
    select a.attname as name, format_type(a.atttypid, null) as type, t.typcategory = 'A' as "isArray"
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    order by a.attnum`
})

const create = Effect.fn(function* (sql: Sql) {
  yield* sql`drop schema if exists bench_plain cascade`
  yield* sql`create schema bench_plain`
  for (const name of names) yield* sql.unsafe(`create table bench_plain.${name} (like ${name} including all)`)
})

/** One statement with an insert for each table; its parameters are one array literal for each column. */
const insertStatement = (columns: ReadonlyArray<readonly [Table, ReadonlyArray<Column>]>) => {
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

/** The parameters of that statement for the rows that came of the events from one position up to another. */
const rowsOf = Effect.fn(function* (
  sql: Sql,
  columns: ReadonlyArray<readonly [Table, ReadonlyArray<Column>]>,
  from: number
) {
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

/** Writes the rows of up to 20,000 of these events again; gives events/s. */
const writePlain = Effect.fn(function* (sql: Sql, after: number, upTo: number) {
  const columns = yield* Effect.forEach(names, (name) =>
    Effect.map(columnsOf(sql, name), (list) => [name, list] as const)
  )
  const batches: Array<ReadonlyArray<string>> = []
  for (let from = after + 1; from + BATCH - 1 <= Math.min(upTo, after + 20_000); from += BATCH)
    batches.push(yield* rowsOf(sql, columns, from))
  const statement = insertStatement(columns)
  const begun = performance.now()
  for (const parameters of batches) yield* sql.unsafe(statement, parameters)
  return (batches.length * BATCH * 1000) / (performance.now() - begun)
})

const head = (sql: Sql) =>
  Effect.map(sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`, ([row]) => row?.seq ?? 0)

const median = (values: ReadonlyArray<number>) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const program = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* Effect.promise(() => report(BATCH_CONNECTIONS, BATCH)) // warm
  yield* create(sql)
  const measured = { batches: [] as Array<number>, plain: [] as Array<number>, singles: [] as Array<number> }
  for (let round = 1; round <= rounds; round += 1) {
    const after = yield* head(sql)
    measured.batches.push(yield* Effect.promise(() => report(BATCH_CONNECTIONS, BATCH)))
    measured.plain.push(yield* writePlain(sql, after, yield* head(sql)))
    measured.singles.push(yield* Effect.promise(() => report(SINGLE_CONNECTIONS, 1)))
    const last = Object.entries(measured).map(
      ([name, values]) => `${name} ${Math.round(values.at(-1) ?? 0)}/s`
    )
    console.log(`round ${round}: ${last.join(", ")}`)
  }
  yield* sql`drop schema bench_plain cascade`
  const ratio = (a: keyof typeof measured, b: keyof typeof measured) =>
    median(measured[a].map((value, round) => value / (measured[b][round] ?? Number.NaN))).toFixed(2)
  console.log(`batches over ${BATCH_CONNECTIONS} connections: ${ratio("batches", "plain")} of plain inserts`)
  console.log(
    `single events over ${SINGLE_CONNECTIONS} connections: ${ratio("singles", "batches")} of batches`
  )
})

const Database = PgClient.layer({ url: Redacted.make(process.env["DATABASE_URL"] ?? ""), maxConnections: 1 })

NodeRuntime.runMain(
  Effect.ensuring(
    Effect.provide(program, Database),
    Effect.sync(() => agent.destroy())
  )
)
