import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { Agent, request } from "node:http"
import type { Sql } from "../src/db/sql.ts"

/**
 * Measures the transparency log of a running service: how fast it takes in many events at once, how long a proof takes, and
 * how long an event waits to be in the log while the service ingests as fast as it can.
 *
 * node scripts/bench-log.ts [events=1000000] [proofs=2000] [seconds=10]
 *
 * The events are written by SQL, so the database is good for nothing else afterwards: take an empty one that the service has
 * migrated. Without DATABASE_URL only the last is measured.
 *
 * DATABASE_URL  of the service
 * CP_URL        the service (http://localhost:4000), started with RATE_LIMIT_ENABLED=false
 * CP_API_KEY    an API key of it
 */

const base = new URL(process.env["CP_URL"] ?? "http://localhost:4000")
const [events = 1_000_000, proofs = 2000, seconds = 10] = process.argv.slice(2).map(Number)
const STATEMENT_ROWS = 50_000
const REPORTERS = 8
const BATCH = 100

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

const call = (path: string, body?: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}`,
      accept: "application/json",
      ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) })
    }
    const method = body === undefined ? "GET" : "POST"
    const sent = request(new URL(path, base), { method, agent, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => (text += part))
      response.on("end", () =>
        response.statusCode === 200
          ? resolve(text)
          : reject(new Error(`${path}: ${response.statusCode} ${text}`))
      )
    })
    sent.on("error", reject)
    sent.end(body)
  })

const logSize = async (): Promise<number> => Number((await call("/log/checkpoint")).split("\n")[1])

/** Processor time of the service so far, s. */
const processor = async (): Promise<number> =>
  Number(/^process_cpu_seconds_total (\S+)$/m.exec(await call("/api/metrics"))?.[1])

const summary = (times: ReadonlyArray<number>): string => {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (p: number) => (sorted[Math.floor((sorted.length - 1) * p)] ?? Number.NaN).toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`
}

/** Id of the event at a position that was filled. */
const idOf = (seq: number) => `00000000-0000-4000-8000-${seq.toString(16).padStart(12, "0")}`

const head = (sql: Sql) =>
  Effect.map(sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`, ([row]) => row?.seq ?? 0)

/** Events that nobody sees before the head is moved: all of them come at once. */
const fill = Effect.fn(function* (sql: Sql, after: number) {
  for (let from = after + 1; from <= events; from += STATEMENT_ROWS) {
    const to = Math.min(events, from + STATEMENT_ROWS - 1)
    yield* sql`select ensure_event_partitions_v1(1::smallint, ${to}::bigint)`
    yield* sql`
      with made as (
        select n, ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id
        from generate_series(${from}::bigint, ${to}::bigint) as n
      ),
      ids as (
        insert into event_ids (id, owner, log_id, seq, attempt_id, created_at)
        select id, '00000000-0000-8000-8000-000000000001', 1, n, id, clock_timestamp() from made
      )
      insert into audit_events (
        log_id, seq, id, type, canonical_type, ts, received_at, created_at, aid_a, aid_b, payload, source, reported_by,
        salt, payload_hash, leaf_hash)
      select
        1, n, id, 'bench', 'bench', now(), now(), clock_timestamp(), 'agent-a', 'agent-b',
        '{"note":"' || repeat('x', 200) || '"}', 'bench', 'bench', substr(sha256(n::text::bytea), 1, 16),
        sha256(n::text::bytea), sha256(('leaf ' || n)::bytea)
      from made`
  }
  yield* sql`analyze audit_events`
  yield* sql`update log_head set seq = ${events}::bigint where log_id = 1`
})

const until = async (size: number) => {
  while ((await logSize()) < size) await new Promise((resolve) => setTimeout(resolve, 5))
}

const integration = Effect.fn(function* (sql: Sql) {
  const after = yield* head(sql)
  yield* Effect.promise(() => until(after))
  yield* fill(sql, after)
  const [begun, used] = [performance.now(), yield* Effect.promise(processor)]
  yield* Effect.promise(() => until(events))
  const [took, spent] = [(performance.now() - begun) / 1000, (yield* Effect.promise(processor)) - used]
  const count = events - after
  console.log(
    `integration: ${count} events in ${took.toFixed(2)} s, ${Math.round(count / took)}/s; ` +
      `${((spent * 1e6) / count).toFixed(1)} µs of the service's processor an event`
  )
})

const timed = async (path: () => string): Promise<number> => {
  const begun = performance.now()
  await call(path())
  return performance.now() - begun
}

const measure = async (name: string, path: () => string) => {
  for (let warm = 0; warm < 100; warm += 1) await timed(path)
  const times: Array<number> = []
  for (let count = 0; count < proofs; count += 1) times.push(await timed(path))
  console.log(`${name}: ${summary(times)}`)
}

const any = (upTo: number) => 1 + Math.floor(Math.random() * upTo)

/** Reports at full rate, and watches how long each batch waits until a served checkpoint covers it. */
const lag = async () => {
  const waiting: Array<{ readonly seq: number; readonly at: number }> = []
  const waits: Array<number> = []
  let stored = 0
  const over = new AbortController()
  const end = performance.now() + seconds * 1000
  const reporter = async () => {
    while (performance.now() < end) {
      const body = JSON.stringify(
        Array.from({ length: BATCH }, () => ({
          id: randomUUID(),
          type: "bench",
          payload: { note: "x".repeat(200) }
        }))
      )
      const { position } = JSON.parse(await call("/api/events", body)) as { readonly position: string }
      waiting.push({ seq: Number(position.split(".")[1]), at: performance.now() })
      stored += BATCH
    }
  }
  const watcher = async () => {
    while (!over.signal.aborted || waiting.length > 0) {
      const size = await logSize()
      const now = performance.now()
      for (let at = waiting.length - 1; at >= 0; at -= 1) {
        if ((waiting[at]?.seq ?? 0) > size) continue
        waits.push(now - (waiting[at]?.at ?? now))
        waiting.splice(at, 1)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const watched = watcher()
  await Promise.all(Array.from({ length: REPORTERS }, reporter))
  over.abort()
  await watched
  console.log(`at ${Math.round(stored / seconds)} events/s an event is in the log after ${summary(waits)}`)
}

const withDatabase = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* integration(sql)
  yield* Effect.promise(() => measure("proof", () => `/api/events/${idOf(any(events))}/proof`))
  yield* Effect.promise(() => measure("consistency", () => `/log/consistency?from=${any(events)}`))
  yield* Effect.promise(() => measure("tile", () => `/log/tile/0/${tileOf(any(events))}`))
})

/** Path of the full tile that has this leaf, or of the one before. */
const tileOf = (seq: number): string => {
  const index = Math.max(Math.min(Math.floor(seq / 256), Math.floor(events / 256) - 1), 0)
  const high = Math.floor(index / 1000)
  return (high > 0 ? `x${String(high).padStart(3, "0")}/` : "") + String(index % 1000).padStart(3, "0")
}

const url = process.env["DATABASE_URL"] ?? ""
const stored =
  url === ""
    ? Effect.void
    : Effect.provide(withDatabase, PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))

NodeRuntime.runMain(
  stored.pipe(Effect.andThen(Effect.promise(lag)), Effect.ensuring(Effect.sync(() => agent.destroy())))
)
