import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { ExpiredEvents } from "../../../src/retention/ExpiredEvents.ts"
import { ExpiredRows } from "../../../src/retention/ExpiredRows.ts"
import { Retention } from "../../../src/retention/Retention.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"

const Sweeping = Retention.layer.pipe(
  Layer.provideMerge(ExpiredEvents.layer),
  Layer.provide(ExpiredRows.layer),
  Layer.provide(IdempotencyKeys.layer),
  Layer.provideMerge(Ledger)
)

const reporter = { principal: system, receivedAt: Date.UTC(2026, 0, 2) }
const record = (count: number) =>
  Effect.gen(function* () {
    const events = Array.from({ length: count }, () => newEvent())
    yield* (yield* Ingest).record(reporter, events)
    return events
  })

/** Partitions of ten positions each, then one for the rest, and an empty ledger. */
const smallPartitions = Effect.gen(function* () {
  const { sql } = yield* Db
  const names = yield* sql<{ readonly name: string }>`select name from event_partitions_v1`
  for (const { name } of names) yield* sql`drop table ${sql(name)}`
  for (const first of [1, 11, 21]) {
    yield* sql.unsafe(`
      create table small_${first} partition of audit_events
      for values from (${first}) to (${first === 21 ? 5_000_001 : first + 10})`)
  }
  yield* sql`truncate event_ids`
  yield* sql`update log_head set seq = 0`
  yield* sql`update log_tree set size = 0, dropped_to = 0, published_size = 0`
})

const age = (from: number, to: number) =>
  Effect.flatMap(
    Db,
    ({ sql }) => sql`
      update audit_events set created_at = clock_timestamp() - interval '91 days' where seq between ${from} and ${to}`
  )
const integrated = (size: number) =>
  Effect.flatMap(Db, ({ sql }) => sql`update log_tree set size = ${size}::bigint`)

const left = Effect.gen(function* () {
  const { sql } = yield* Db
  const [row] = yield* sql<{
    readonly events: ReadonlyArray<number>
    readonly ids: ReadonlyArray<number>
    readonly partitions: ReadonlyArray<string>
    readonly droppedTo: number
  }>`
    select
      array(select seq::int from audit_events where type <> 'retention.swept' order by seq) as events,
      array(select i.seq::int from event_ids i where i.seq <= 25 order by i.seq) as ids,
      array(select name::text from event_partitions_v1) as partitions,
      (select dropped_to::int from log_tree) as dropped_to`
  assert(row !== undefined)
  return row
})

const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

layer(Sweeping, { timeout: "60 seconds", excludeTestServices: true })("retention", (it) => {
  it.effect("drops whole partitions of the ledger and deletes the rest, ids included, and says so", () =>
    Effect.gen(function* () {
      yield* smallPartitions
      yield* record(25)
      yield* age(1, 22)
      yield* integrated(25)
      const { runOnce } = yield* Retention
      assert.deepEqual(yield* runOnce, { audit_events: 22 })
      assert.deepEqual(yield* left, {
        events: from(23, 25),
        ids: from(23, 25),
        partitions: ["small_21"],
        droppedTo: 22
      })
      const { sql } = yield* Db
      const [swept] = yield* sql<{ readonly seq: number; readonly payload: string }>`
        select seq::int as seq, payload from audit_events where type = 'retention.swept'`
      assert(swept !== undefined)
      assert.strictEqual(swept.seq, 26)
      assert.deepInclude(JSON.parse(swept.payload), { removed: { audit_events: 22 } })
      assert.deepEqual(yield* runOnce, {})
    })
  )

  it.effect("leaves what the log does not have yet, and what follows a younger event", () =>
    Effect.gen(function* () {
      yield* smallPartitions
      yield* record(25)
      yield* age(1, 4)
      yield* age(6, 9)
      yield* integrated(3)
      const { runOnce } = yield* Retention
      assert.deepEqual(yield* runOnce, { audit_events: 3 })
      assert.deepEqual((yield* left).events, from(4, 25))
      yield* integrated(25)
      assert.deepEqual(yield* runOnce, { audit_events: 1 })
      assert.deepEqual((yield* left).events, from(5, 25))
    })
  )

  it.effect("takes up a partition that was being detached when the process died", () =>
    Effect.gen(function* () {
      yield* smallPartitions
      yield* record(25)
      yield* age(1, 10)
      yield* integrated(25)
      const { retire } = yield* ExpiredEvents
      const before = new Date(Date.now() - 86_400_000)
      // In two batches, and then no more.
      assert.deepEqual([yield* retire(before, 7), yield* retire(before, 7)], [7, 3])
      assert.deepEqual(yield* left, {
        events: from(1, 25),
        ids: from(11, 25),
        partitions: ["small_1", "small_11", "small_21"],
        droppedTo: 10
      })
      assert.deepEqual(yield* (yield* Retention).runOnce, {})
      assert.deepEqual((yield* left).partitions, ["small_11", "small_21"])
      assert.deepEqual((yield* left).events, from(11, 25))
    })
  )

  it.effect("removes settled deliveries, audit entries and spent tokens, but nothing that still counts", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const webhook = randomUUID()
      yield* sql`
        insert into webhooks (id, url, secret_enc, key_id, secret_hint, created_at, updated_at)
        values (${webhook}::uuid, 'https://receiver.example', ''::bytea, 'k', 'hint', now(), now())`
      yield* sql`
        insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, created_at)
        select gen_random_uuid(), ${webhook}::uuid, gen_random_uuid(), 1, 'tct.revoked', status || days, status,
          now() - make_interval(days => days)
        from unnest(array['pending', 'delivered', 'failed']) as status, unnest(array[13, 15]) as days`
      yield* sql`
        insert into admin_audit_log (id, action, actor_id, created_at)
        select gen_random_uuid(), 'test.' || days, 'test', now() - make_interval(days => days)
        from unnest(array[364, 366]) as days`
      yield* sql`
        insert into enrollment_jtis (jti, aid, expires_at)
        select gen_random_uuid(), 'aid' || minutes, now() + make_interval(mins => minutes) from unnest(array[-1, 1]) as minutes`
      assert.deepEqual(yield* (yield* Retention).runOnce, {
        webhook_deliveries: 2,
        admin_audit_log: 1,
        enrollment_jtis: 1
      })
      const [kept] = yield* sql<Readonly<Record<string, ReadonlyArray<string>>>>`
        select
          array(select body from webhook_deliveries order by body) as deliveries,
          array(select action from admin_audit_log where actor_id = 'test') as acts,
          array(select aid from enrollment_jtis) as tokens`
      assert.deepEqual(kept, {
        deliveries: ["delivered13", "failed13", "pending13", "pending15"],
        acts: ["test.364"],
        tokens: ["aid1"]
      })
    })
  )

  it.effect("buries agents that were taken out long ago, and nobody else", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* sql`
        insert into agents (
          aid, key_alg, key_raw, display_name, handshake_endpoint, offered_caps, manifest_json, manifest_sha256,
          manifest_published_at, manifest_expires_at, verified_at, status, namespace, registered_at, last_enrolled_at,
          deregistered_at)
        select
          name, 'ed25519', sha256(name::bytea), name, 'https://a.example', '[]', '{}', sha256(name::bytea), now(), now(),
          now(), split_part(name, ' ', 1), 'default', now() - interval '100 days', now(),
          now() - make_interval(days => split_part(name, ' ', 2)::int)
        from unnest(array['deregistered 31', 'deregistered 29', 'expired 90', 'active 90']) as name`
      const version = Effect.map(
        sql<{ readonly v: string }>`select directory_version::text as v from log_head`,
        ([row]) => row?.v
      )
      const before = yield* version
      assert.deepEqual(yield* (yield* Retention).runOnce, { agents: 1 })
      const [state] = yield* sql<Readonly<Record<string, ReadonlyArray<string>>>>`
        select array(select aid from agents order by aid) as agents, array(select aid from agent_tombstones) as graves`
      assert.deepEqual(state, {
        agents: ["active 90", "deregistered 29", "expired 90"],
        graves: ["deregistered 31"]
      })
      assert.notStrictEqual(yield* version, before)
      assert.deepEqual(yield* (yield* Retention).runOnce, {})
    })
  )
})
