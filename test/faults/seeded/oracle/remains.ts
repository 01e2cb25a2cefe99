import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Vitals } from "../../../support/faults/preload.ts"
import { sendTo } from "../../../support/service/client.ts"
import type { World } from "../World.ts"

const MB = 1_048_576
/** Growth of a process over one run, after garbage was collected: caches, code compiled meanwhile. */
const MAX_HEAP_GROWTH = 48 * MB
const MAX_RSS_GROWTH = 250 * MB
/** Connections of one replica: both pools, the listener, and what a scrape or a migration takes. */
const MAX_CONNECTIONS = 20 + 5 + 3
/** Anything held longer than this by nobody who renews it is stuck. */
const STUCK_MS = 10_000

/** Repeats until the statement finds nothing, or tells what it finds. */
const eventuallyNone = (
  world: World,
  property: string,
  statement: Effect.Effect<ReadonlyArray<{ readonly what: string }>, unknown>
) =>
  Effect.gen(function* () {
    const until = performance.now() + STUCK_MS
    for (;;) {
      const found = yield* statement
      if (found.length === 0) return
      if (performance.now() > until)
        return world.journal.violated(property, found.map(({ what }) => what).join(", "))
      yield* Effect.sleep(100)
    }
  })

/** No lease, claim, key, stream or connection is held by what is gone. */
export const judgeHolds = (world: World, sql: SqlClient.SqlClient): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { journal, replicas } = world
    yield* eventuallyNone(
      world,
      "every job's lease has a holder that renews it",
      sql`select name || ' since ' || expires_at as what from leases
          where expires_at not between clock_timestamp() and clock_timestamp() + interval '5 seconds'`
    )
    yield* eventuallyNone(
      world,
      "no claim outlives its holder",
      sql`select 'a delivery' as what from webhook_deliveries where claimed_by is not null
          union all select 'a cascade' from revocation_cascades
          union all select 'the list' from revocation_publication
          where claimed_until > clock_timestamp() + interval '10 seconds'`
    )
    yield* eventuallyNone(
      world,
      "no idempotency key stays in use",
      // What a request left that nobody repeats is free to whoever does, and goes with retention.
      sql`select key as what from idempotency_keys where lease_until > clock_timestamp()`
    )
    yield* eventuallyNone(
      world,
      "no session hangs in the database",
      sql`select pid || ' ' || state || ' ' || left(query, 80) as what from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()
            and (state like 'idle in transaction%' or (state = 'active' and query_start < clock_timestamp() - interval '5 seconds'))`
    )
    const limit = MAX_CONNECTIONS * replicas.length
    const [count] = yield* sql<{ readonly n: number }>`
      select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name like 'aitp%'`
    if ((count?.n ?? 0) > limit)
      journal.violated("connections stay within the pools", `${count?.n} of ${limit}`)
    for (const replica of replicas) {
      const { text } = yield* sendTo(replica, "/api/metrics", {
        headers: { authorization: "Bearer metrics-token-of-the-seeded-faults" }
      })
      const [, open] = /^aitp_control_plane_sse_streams_open (\d+)$/m.exec(text) ?? []
      if (open !== "0")
        journal.violated("streams of clients that left are closed", `${open} at ${replica.name}`)
    }
  })

const inMb = (bytes: number) => `${Math.round(bytes / MB)} MiB`

/** Memory and sockets of each process are near what a fresh one has. */
export const judgeMemory = (world: World, fresh: Vitals, name: number, now: Vitals): void => {
  const { journal } = world
  if (now.heap - fresh.heap > MAX_HEAP_GROWTH || now.rss - fresh.rss > MAX_RSS_GROWTH)
    journal.violated(
      "memory comes back to its baseline",
      `replica ${name}: heap ${inMb(now.heap)} after ${inMb(fresh.heap)}, RSS ${inMb(now.rss)} after ${inMb(fresh.rss)}`
    )
  const sockets = (vitals: Vitals) => vitals.resources["TCPSocketWrap"] ?? 0
  if (sockets(now) > sockets(fresh) + MAX_CONNECTIONS + 20)
    journal.violated("sockets are closed", `replica ${name}: ${sockets(now)} after ${sockets(fresh)}`)
}

/** Nothing that must stay secret was written by any process, and none ended by itself. */
export const judgeOutput = ({ journal, replicas }: World): void => {
  for (const { endedBy, logs, name } of replicas) {
    if (endedBy !== undefined) journal.violated("no process ends by itself", `replica ${name}: ${endedBy}`)
    for (const secret of journal.secrets) {
      const log = logs.find((text) => text.includes(secret))
      if (log === undefined) continue
      const at = log.indexOf(secret)
      journal.violated(
        "no secret is written into a log",
        `replica ${name}: …${log.slice(Math.max(0, at - 150), at)}<${secret.slice(0, 4)}…>`
      )
    }
  }
}

/** After all replicas were stopped nothing of them is left in the database. */
export const judgeStopped = (world: World, sql: SqlClient.SqlClient): Effect.Effect<void, unknown> =>
  eventuallyNone(
    world,
    "a stopped replica leaves no connection and no lease",
    sql`select 'a connection of ' || application_name as what from pg_stat_activity
        where datname = current_database() and application_name like 'aitp%'
        union all select 'the lease ' || name from leases where expires_at > clock_timestamp() + interval '2 seconds'`
  )
