import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import type { DelegationQuery } from "../../../src/delegations/model.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { Deliveries } from "../../../src/deliveries/Deliveries.ts"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import { type HistoryQuery, unfiltered } from "../../../src/events/history.ts"
import { Agents } from "../../../src/registry/Agents.ts"
import { RegistryVersion } from "../../../src/registry/RegistryVersion.ts"
import type { AgentQuery } from "../../../src/registry/discovery.ts"
import type { SessionQuery } from "../../../src/sessions/model.ts"
import { Sessions } from "../../../src/sessions/Sessions.ts"
import { LedgerPages } from "../../../src/stream/LedgerPages.ts"
import type { TctQuery } from "../../../src/tcts/model.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"
import { ProjectedLedger, report } from "../../support/projections/ledger.ts"
import { listDelegations, listSessions, listTcts } from "../../support/projections/lists.ts"

/**
 * How many rows the hot statements touch while the tables hold many more: a statement that goes through a table, or
 * through an index that does not fit it, touches thousands. Counted by Postgres itself, inside the transaction.
 */

const Stores = Layer.mergeAll(Agents.layer, DelegationTrees.layer, Deliveries.layer, LedgerPages.layer).pipe(
  Layer.provideMerge(RegistryVersion.layer),
  Layer.provideMerge(ProjectedLedger)
)

const START = Date.UTC(2026, 0, 1)
const MEETINGS = 4000
const PARTIES = 400
const AGENTS = 10_000
const DELIVERIES = 20_000
const page = { limit: 50, offset: 0, after: undefined } as const
const webhook = randomUUID()

/** Two agents meet, a TCT is issued, used and delegated. Every run has eight meetings, every agent twenty. */
const meeting = (n: number) => {
  const [aidA, aidB, sessionId, jti] = [
    `agent-${n % PARTIES}`,
    `agent-${(n + 1) % PARTIES}`,
    `session-${n}`,
    randomUUID()
  ]
  const event = (type: string, payload: object, step: number) => ({
    type,
    ts: START + n * 10_000 + step,
    aidA,
    aidB,
    sessionId,
    runId: `run-${n >> 3}`,
    payload
  })
  return [
    event("handshake.started", {}, 0),
    event("handshake.complete", {}, 1),
    event(
      "tct.issued",
      { tct: { jti, iss: aidA, sub: aidB, aud: aidB, grants: ["a.b.c"], iat: START / 1000 } },
      2
    ),
    event("capability.invoked", { capability: "a.b.c" }, 3),
    event(
      "delegation.issued",
      { jti: randomUUID(), parent_jti: jti, delegator_aid: aidB, delegatee_aid: aidA, scope: ["a"] },
      4
    )
  ]
}

const seeded = Effect.gen(function* () {
  const { sql } = yield* Db
  for (let n = 0; n < MEETINGS; n += 50) {
    yield* report(Array.from({ length: 50 }, (_, k) => meeting(n + k)).flat())
  }
  yield* sql`
    insert into agents (
      aid, key_alg, key_raw, display_name, handshake_endpoint, offered_caps, manifest_json, manifest_sha256,
      manifest_published_at, manifest_expires_at, verified_at, status, namespace, registered_at, last_enrolled_at)
    select
      'aid:pubkey:' || n, 'ed25519', sha256(n::text::bytea), 'Agent ' || n, 'https://a.example', jsonb_build_array('cap.' || n % 500),
      '{}', sha256(''), now(), now() + interval '1 day', now(), 'active', 'n' || n % 100, now() - n * interval '1 second', now()
    from generate_series(1, ${AGENTS}::int) as n`
  yield* sql`
    insert into webhook_deliveries (
      id, webhook_id, event_id, event_seq, event_type, body, status, next_retry_at, created_at)
    select
      gen_random_uuid(), case when n % 100 = 0 then ${webhook}::uuid else gen_random_uuid() end, gen_random_uuid(), n, 'x', '{}',
      case when n % 200 = 0 then 'failed' else 'delivered' end, null, now() - n * interval '1 second'
    from generate_series(1, ${DELIVERIES}::int) as n`
  yield* sql`analyze`
})

/** Rows of tables of ours that `self` touched. */
const rowsTouched = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { sql, withTransaction } = yield* Db
    const touched = sql<{ readonly name: string; readonly rows: number }>`
      select relname as name, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int as rows
      from pg_stat_xact_user_tables
      where schemaname = current_schema() and coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) > 0`
    return yield* withTransaction(
      Effect.gen(function* () {
        const before = new Map((yield* touched).map(({ name, rows }) => [name, rows]))
        yield* self
        return (yield* touched)
          .map(({ name, rows }) => ({ name, rows: rows - (before.get(name) ?? 0) }))
          .filter(({ rows }) => rows > 0)
      })
    )
  })

const history = (query: Partial<HistoryQuery>) =>
  Effect.flatMap(AuditEvents, (events) =>
    events.history({ ...unfiltered, order: "desc", ...page, ...query }, visibleToAll)
  )
const sessions = (query: Partial<SessionQuery>) => listSessions({ ...page, ...query })
const tcts = (query: Partial<TctQuery>) => listTcts({ ...page, ...query })
const delegations = (query: Partial<DelegationQuery>) => listDelegations({ ...page, ...query })
const agents = (query: Partial<AgentQuery>) =>
  Effect.flatMap(Agents, (all) =>
    all.list(
      {
        capability: undefined,
        aid: undefined,
        displayName: undefined,
        namespace: undefined,
        status: "active",
        includeManifest: false,
        ...page,
        ...query
      },
      visibleToAll
    )
  )
const deliveries = (status: string | undefined) =>
  Effect.flatMap(Deliveries, (all) =>
    all.list({ webhookId: webhook, status, eventType: undefined, limit: 50, after: undefined })
  )
const onLedger = <A, E, R>(read: (pages: LedgerPages["Service"]) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(LedgerPages, read)

const middle = new Date(START + (MEETINGS / 2) * 10_000)

type Stored =
  | AuditEvents
  | Agents
  | Delegations
  | DelegationTrees
  | Deliveries
  | LedgerPages
  | Sessions
  | Tcts

/** Each reads about 50 rows of interest, or as many as there are. */
const statements: ReadonlyArray<
  readonly [name: string, run: Effect.Effect<unknown, unknown, Stored>, rows: number]
> = [
  ["history", history({}), 100],
  ["history, deep", history({ after: { ts: middle, seq: 9 } }), 100],
  ["history, oldest first", history({ order: "asc" }), 100],
  ["history of a type", history({ type: "tct.issued" }), 400],
  ["history of an agent", history({ aid: "agent-7" }), 150],
  ["history of an agent, deep", history({ aid: "agent-7", after: { ts: middle, seq: 9 } }), 150],
  ["history of a session", history({ sessionId: "session-9" }), 100],
  ["history of a run", history({ runId: "run-9" }), 100],
  ["history of a time", history({ since: new Date(+middle - 60_000), until: middle }), 100],
  [
    "an event by its id",
    Effect.flatMap(AuditEvents, (events) => events.findById(randomUUID(), visibleToAll)),
    5
  ],
  ["the ledger's next page", onLedger((pages) => pages.next(10_000, 50)), 100],
  ["the ledger's extent", onLedger((pages) => pages.extent), 5],
  [
    "a filtered window of the ledger",
    onLedger((pages) =>
      pages.select(
        { ...unfiltered, visibility: visibleToAll, aid: "agent-7" },
        { after: 10_000, upTo: 10_500, limit: 50 }
      )
    ),
    600
  ],
  ["sessions", sessions({}), 200],
  ["sessions of an agent", sessions({ aid: "agent-7" }), 200],
  ["sessions of a run", sessions({ runId: "run-9" }), 100],
  ["TCTs", tcts({}), 200],
  ["TCTs of an issuer", tcts({ issuer: "agent-7" }), 200],
  ["TCTs of a subject", tcts({ subject: "agent-7" }), 200],
  ["TCTs of an audience", tcts({ audience: "agent-7" }), 200],
  ["TCTs of a session", tcts({ sessionId: "session-9" }), 100],
  ["a TCT by its id", tcts({ jti: randomUUID() }), 5],
  ["delegations", delegations({}), 200],
  ["delegations by a delegator", delegations({ delegator: "agent-7" }), 200],
  ["delegations to a delegatee", delegations({ delegatee: "agent-7" }), 200],
  ["delegations of a parent", delegations({ parentJti: randomUUID() }), 5],
  [
    "a tree of delegations",
    Effect.flatMap(DelegationTrees, (trees) => trees.tree(randomUUID(), visibleToAll)),
    20
  ],
  ["agents", agents({}), 200],
  ["agents with a capability", agents({ capability: "cap.9" }), 200],
  ["agents of a namespace", agents({ namespace: "n9" }), 300],
  ["agents by name", agents({ displayName: "Agent 9" }), 20],
  ["an agent", Effect.flatMap(Agents, (all) => all.findByAid("aid:pubkey:9", visibleToAll)), 10],
  ["deliveries", deliveries(undefined), 100],
  ["failed deliveries", deliveries("failed"), 100],
  ["an append", report(meeting(MEETINGS)), 100]
]

layer(Stores, { timeout: "60 seconds" })("hot statements", (it) => {
  it.effect(
    "touch few rows, however many there are",
    () =>
      Effect.gen(function* () {
        yield* seeded
        const excessive = yield* Effect.filter(
          yield* Effect.forEach(statements, ([name, run, most]) =>
            Effect.map(rowsTouched(run), (tables) => ({ name, most, tables }))
          ),
          ({ most, tables }) => Effect.succeed(tables.reduce((sum, { rows }) => sum + rows, 0) > most)
        )
        assert.deepEqual(excessive, [])
      }),
    60_000
  )
})
