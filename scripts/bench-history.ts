import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import type { Sql } from "../src/db/sql.ts"

/**
 * Fills the ledger of a database up to a number of events and times pages of history over it, first pages and deep ones
 * alike: for each filter it begins at random times and follows the cursor.
 *
 * node scripts/bench-history.ts [events=300000] [walks=100]
 *
 * The events are written by SQL, without ids and projections, so the database is good for nothing else afterwards: take
 * an empty one that the service has migrated.
 *
 * DATABASE_URL  of the service
 * CP_URL        the service (http://localhost:4000), started with RATE_LIMIT_ENABLED=false
 * CP_API_KEY    an API key of it
 */

const base = process.env["CP_URL"] ?? "http://localhost:4000"
const headers = { authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}` }
const [events = 300_000, walks = 100] = process.argv.slice(2).map(Number)
const PAGES = 4
const PER_SECOND = 10
const STATEMENT_ROWS = 50_000

/** Event n happened n / 10 seconds after the first; 2,000 agents, 10,000 runs, six types. */
const fill = Effect.fn(function* (sql: Sql, upTo: number) {
  const [log] = yield* sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`
  for (let from = (log?.seq ?? 0) + 1; from <= upTo; from += STATEMENT_ROWS) {
    const to = Math.min(upTo, from + STATEMENT_ROWS - 1)
    yield* sql`select ensure_event_partitions_v1(1::smallint, ${to}::bigint)`
    yield* sql`
      insert into audit_events (
        log_id, seq, id, type, canonical_type, ts, received_at, created_at, aid_a, aid_b, session_id, run_id, payload,
        source, reported_by, salt, payload_hash, leaf_hash)
      select
        1, n, gen_random_uuid(), kind, kind, at, at, at, 'agent-' || (hashint8(n) & 2047),
        'agent-' || (hashint8(n + 1) & 2047), 'session-' || n / 4, 'run-' || (hashint8(n / 40) & 8191),
        '{"note":"' || repeat('x', 200) || '"}', 'bench', 'bench', substr(sha256(n::text::bytea), 1, 16),
        sha256(n::text::bytea), sha256(('leaf ' || n)::bytea)
      from generate_series(${from}::bigint, ${to}::bigint) as n
      cross join lateral (select
        (array['handshake.started', 'handshake.complete', 'tct.issued', 'delegation.issued', 'capability.invoked',
               'log.line'])[1 + n % 6] as kind,
        timestamptz '2026-01-01' + make_interval(secs => n::float8 / ${PER_SECOND}::float8) as at) as made`
    yield* sql`update log_head set seq = ${to}::bigint where log_id = 1`
    if (process.stdout.isTTY) process.stdout.write(`\r${to} events`)
  }
  yield* sql`analyze audit_events`
})

interface Page {
  readonly events: ReadonlyArray<{ readonly ts: string; readonly seq: number }>
  readonly nextCursor: string | null
}

const page = async (query: URLSearchParams): Promise<Page> => {
  const response = await fetch(`${base}/api/events/history?${query}`, { headers })
  if (!response.ok) throw new Error(`${query}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Page
}

const among = (prefix: string, count: number) => `${prefix}${Math.floor(Math.random() * count)}`
const timeOf = (n: number) => new Date(Date.UTC(2026, 0, 1) + (n * 1000) / PER_SECOND).toISOString()

const filters: Readonly<Record<string, () => Readonly<Record<string, string>>>> = {
  none: () => ({}),
  type: () => ({ type: ["tct.issued", "handshake.complete"][Math.floor(Math.random() * 2)] ?? "" }),
  agent: () => ({ aid: among("agent-", 2048) }),
  run: () => ({ run_id: among("run-", 8192) }),
  "type and agent": () => ({ type: "tct.issued", aid: among("agent-", 2048) })
}

/** Times, in ms, of the pages of one walk; its order and filter are checked. */
const walk = async (filter: Readonly<Record<string, string>>) => {
  const times: Array<number> = []
  const until = timeOf(Math.random() * events)
  let cursor: string | null = null
  let last = until
  for (let count = 0; count < PAGES; count += 1) {
    const query = new URLSearchParams({
      ...filter,
      until,
      limit: "100",
      ...(cursor === null ? {} : { cursor })
    })
    const begun = performance.now()
    const found: Page = await page(query)
    times.push(performance.now() - begun)
    for (const { ts } of found.events) {
      if (ts > last) throw new Error(`${query}: ${ts} after ${last}`)
      last = ts
    }
    if (found.nextCursor === null) break
    cursor = found.nextCursor
  }
  return times
}

const program = Effect.gen(function* () {
  yield* fill(yield* PgClient.PgClient, events)
  for (const [name, filterOf] of Object.entries(filters)) {
    const times: Array<number> = []
    for (let count = 0; count < walks; count += 1) {
      times.push(...(yield* Effect.promise(() => walk(filterOf()))))
    }
    const sorted = times.toSorted((a, b) => a - b)
    const at = (p: number) => (sorted[Math.floor((sorted.length - 1) * p)] ?? Number.NaN).toFixed(1)
    console.log(`${name}: ${sorted.length} pages, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`)
  }
})

const url = Redacted.make(process.env["DATABASE_URL"] ?? "")
NodeRuntime.runMain(Effect.provide(program, PgClient.layer({ url, maxConnections: 1 })))
