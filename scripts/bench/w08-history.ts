import { Effect } from "effect"
import { attempt, sendFor } from "./client.ts"
import { BenchError, type Figure, type Workload } from "./model.ts"
import { connect, migratedDatabase, type Sql } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { startService } from "./service.ts"
import { merged, Timings } from "./statistics.ts"

const EVENTS = 300_000
const MANY_EVENTS = 5_000_000
/** Walks of each filter. */
const WALKS = 50
/** Pages of a walk, from a random time on. */
const PAGES = 4
const LIMIT = 100
const PER_SECOND = 10
const STATEMENT_ROWS = 50_000
const LOG_MS = 600_000
const FIRST = Date.UTC(2026, 0, 1)

/** Event n happened n / 10 seconds after the first; 2,048 agents, 8,192 runs, six types. Without ids and projections. */
const fill = Effect.fnUntraced(function* (sql: Sql, events: number, note: (text: string) => void) {
  for (let from = 1; from <= events; from += STATEMENT_ROWS) {
    const to = Math.min(events, from + STATEMENT_ROWS - 1)
    yield* sql`select ensure_event_partitions_v1(1::smallint, ${to}::bigint)`
    yield* sql`
      insert into audit_events (
        log_id, seq, id, type, canonical_type, ts, received_at, created_at, aid_a, aid_b, session_id, run_id, payload,
        source, reported_by, salt, payload_hash, leaf_hash)
      select
        1, n, gen_random_uuid(), kind, kind, at, at, clock_timestamp(), 'agent-' || (hashint8(n) & 2047),
        'agent-' || (hashint8(n + 1) & 2047), 'session-' || n / 4, 'run-' || (hashint8(n / 40) & 8191),
        '{"note":"' || repeat('x', 200) || '"}', 'bench', 'bench', substr(sha256(n::text::bytea), 1, 16),
        sha256(n::text::bytea), sha256(('leaf ' || n)::bytea)
      from generate_series(${from}::bigint, ${to}::bigint) as n
      cross join lateral (select
        (array['handshake.started', 'handshake.complete', 'tct.issued', 'delegation.issued', 'capability.invoked',
               'log.line'])[1 + n % 6] as kind,
        ${new Date(FIRST)}::timestamptz + make_interval(secs => n::float8 / ${PER_SECOND}::float8) as at) as made`
    note(`${to} of ${events} events written`)
  }
  yield* sql`update log_head set seq = ${events}::bigint where log_id = 1`
  yield* sql`analyze audit_events`.unprepared
})

interface Shown {
  readonly seq: number
  readonly ts: string
  readonly type: string
  readonly aidA: string
  readonly aidB: string
  readonly runId: string
}

interface Page {
  readonly events: ReadonlyArray<Shown>
  readonly nextCursor: string | null
}

interface Filter {
  readonly query: Readonly<Record<string, string>>
  readonly fits: (event: Shown) => boolean
}

const among = (prefix: string, count: number) => `${prefix}${Math.floor(Math.random() * count)}`

const filters: Readonly<Record<string, () => Filter>> = {
  none: () => ({ query: {}, fits: () => true }),
  type: () => {
    const type = Math.random() < 0.5 ? "tct.issued" : "handshake.complete"
    return { query: { type }, fits: (event) => event.type === type }
  },
  agent: () => {
    const aid = among("agent-", 2048)
    return { query: { aid }, fits: ({ aidA, aidB }) => aidA === aid || aidB === aid }
  },
  run: () => {
    const runId = among("run-", 8192)
    return { query: { run_id: runId }, fits: (event) => event.runId === runId }
  },
  "type and agent": () => {
    const aid = among("agent-", 2048)
    const query = { type: "tct.issued", aid }
    return { query, fits: ({ aidA, aidB, type }) => type === query.type && (aidA === aid || aidB === aid) }
  }
}

/** One walk from a random time back: newest first, only what fits, nothing left out where nothing is filtered. */
const walk = async (url: string, events: number, { fits, query }: Filter, timings: Timings) => {
  let last = Math.floor(Math.random() * events) + 1
  const until = new Date(FIRST + (last * 1000) / PER_SECOND).toISOString()
  let cursor: string | null = null
  for (let count = 0; count < PAGES; count += 1) {
    const search = new URLSearchParams({ ...query, until, limit: String(LIMIT) })
    if (cursor !== null) search.set("cursor", cursor)
    const begun = performance.now()
    const text = await sendFor(200, "GET", `${url}/api/events/history?${search}`)
    timings.record(performance.now() - begun)
    const page = JSON.parse(text) as Page
    for (const event of page.events) {
      // Event n is at position n, and happened n / 10 s after the first.
      const expected = Object.keys(query).length === 0 ? last : event.seq
      if (event.seq > last || event.seq !== expected || !fits(event))
        throw new BenchError(`${search}: position ${event.seq} at ${last}`)
      if (event.ts !== new Date(FIRST + (event.seq * 1000) / PER_SECOND).toISOString())
        throw new BenchError(`position ${event.seq} happened at ${event.ts}`)
      last = event.seq - 1
    }
    cursor = page.nextCursor
    if (cursor === null) return
  }
}

/** Waits until the service has the events in its log, so that this work is not measured. */
const logged = Effect.fnUntraced(function* (url: string, events: number) {
  const begun = performance.now()
  while (performance.now() - begun < LOG_MS) {
    const checkpoint = yield* attempt(() => sendFor(200, "GET", `${url}/log/checkpoint`))
    if (Number(checkpoint.split("\n")[1]) >= events) return
    yield* Effect.sleep(100)
  }
  return yield* Effect.fail(new BenchError(`the log does not have ${events} events`))
})

/** Single rows by primary key over one connection. */
const selects = Effect.fnUntraced(function* (sql: Sql, events: number, count: number) {
  const timings = new Timings()
  for (let n = 0; n < count; n += 1) {
    const seq = 1 + Math.floor(Math.random() * events)
    const begun = performance.now()
    const [row] = yield* sql<{ readonly seq: number }>`
      select seq::float8 as seq, id, type, ts, aid_a, aid_b, session_id, run_id, payload, source from audit_events
      where log_id = 1 and seq = ${seq}::bigint`
    timings.record(performance.now() - begun)
    if (row?.seq !== seq) return yield* Effect.fail(new BenchError(`no row at ${seq}`))
  }
  return timings.summary()
})

const at = Effect.fnUntraced(function* (events: number, target: number) {
  const { note } = yield* Rig
  const databaseUrl = yield* migratedDatabase
  const sql = yield* connect(databaseUrl)
  yield* fill(sql, events, note)
  const { url } = yield* startService(databaseUrl)
  note("waiting for the log")
  yield* logged(url, events)
  const all: Array<Timings> = []
  const longest: Array<string> = []
  for (const [name, filterOf] of Object.entries(filters)) {
    note(`${events} events, filter ${name}`)
    const timings = new Timings()
    for (let count = 0; count < 5; count += 1)
      yield* attempt(() => walk(url, events, filterOf(), new Timings())) // warm
    for (let count = 0; count < WALKS; count += 1)
      yield* attempt(() => walk(url, events, filterOf(), timings))
    all.push(timings)
    longest.push(`${name} ${timings.summary().p99.toFixed(1)}`)
  }
  const summary = merged(all).summary()
  const keyed = yield* selects(sql, events, all.length * WALKS)
  const figure: Figure = {
    what: `99th percentile of a page of ${LIMIT} at ${events.toLocaleString("en-US")} events`,
    value: summary.p99,
    unit: "ms",
    limit: { what: "one row by primary key, one connection", value: keyed.p99 },
    target: { kind: "at most", value: target },
    detail: `${summary.count} pages, ${percentiles(summary)}; p99 by filter: ${longest.join(", ")} ms`
  }
  return figure
}, Effect.scoped)

export const history: Workload = {
  id: "W8",
  title: "History, first pages and deep ones, five filters",
  run: Effect.gen(function* () {
    const { full } = yield* Rig
    const figure = yield* at(EVENTS, 20)
    return full ? [figure, yield* at(MANY_EVENTS, 50)] : [figure]
  })
}
