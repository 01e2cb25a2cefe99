import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Claims } from "../../../src/deliveries/Claims.ts"
import { Deliveries, type RequeueOutcome } from "../../../src/deliveries/Deliveries.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import type { NewEvent } from "../../../src/events/model.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"
import { enqueue, failureOf, stored, subscribe } from "../../support/webhooks/outbox.ts"

const EVERYTHING = new Date(0)

const act = () => ({
  id: randomUUID(),
  action: "test",
  actorId: "test",
  targetId: null,
  details: {},
  requestId: null
})

const record = (...events: ReadonlyArray<NewEvent>) =>
  Effect.flatMap(Ingest, (ingest) => ingest.record({ principal: system, receivedAt: Date.now() }, events))

const recover = (
  webhookId: string,
  over: {
    readonly since?: Date
    readonly until?: Date
    readonly missed?: boolean
    readonly limit?: number
  } = {}
) =>
  Effect.flatMap(Deliveries, (deliveries) =>
    deliveries.recover(
      { webhookId, since: EVERYTHING, until: undefined, missed: false, limit: 1000, ...over },
      act(),
      undefined
    )
  )

const requeuedOf = (outcome: RequeueOutcome) =>
  outcome._tag === "Requeued" ? outcome.requeued : outcome._tag

interface Row {
  readonly id: string
  readonly eventId: string
  readonly seq: number
  readonly body: string
}

const rowsOf = Effect.fnUntraced(function* (webhookId: string) {
  const { sql } = yield* Db
  return yield* sql<Row>`
    select id, event_id, event_seq::float8 as seq, body from webhook_deliveries d
    where webhook_id = ${webhookId}::uuid order by d.event_seq`
})

/** A body without what is of the delivery and not of the event. */
const payloadText = ({ body, id }: Row) => body.replace(id, "").replace(/"enqueuedAt":"[^"]*"/, "")

const Stores = Layer.mergeAll(Deliveries.layer, Claims.layer).pipe(Layer.provideMerge(Ledger))

layer(Stores, { timeout: "60 seconds" })("redelivery", (it) => {
  it.effect(
    "makes a delivery due again in any state, with all its retries, but not while it is attempted",
    () =>
      Effect.gen(function* () {
        const { sql } = yield* Db
        const claims = yield* Claims
        const deliveries = yield* Deliveries
        const webhook = yield* subscribe()
        const [failed, delivered, waiting, running] = [
          ...(yield* enqueue(webhook, 1, { status: "failed", attempts: 3 })),
          ...(yield* enqueue(webhook, 1, { status: "delivered", attempts: 1 })),
          ...(yield* enqueue(webhook, 1, { dueSecsAgo: -600, attempts: 1 })),
          ...(yield* enqueue(webhook, 1))
        ] as [string, string, string, string] // one of each
        const process = randomUUID()
        yield* claims.claim({ process, leaseMs: 15_000, limit: 9, slots: 8, rooms: new Map(), newest: false })
        const again = (id: string) =>
          Effect.map(deliveries.redeliver(webhook, id, act(), undefined), requeuedOf)
        assert.strictEqual(yield* again(running), 0)
        for (const id of [failed, delivered, waiting]) {
          assert.strictEqual(yield* again(id), 1)
          const row = yield* stored(id)
          assert.strictEqual(row.status, "pending")
          assert.isAtMost(row.dueInSecs ?? 1, 0)
        }
        assert.strictEqual((yield* stored(failed)).attempts, 3)
        const [row] = yield* sql<{ readonly retriesFrom: number }>`
        select retries_from from webhook_deliveries where id = ${failed}::uuid`
        assert.strictEqual(row?.retriesFrom, 3)
      })
  )

  it.effect("finds nothing under another subscription", () =>
    Effect.gen(function* () {
      const deliveries = yield* Deliveries
      const [id = ""] = yield* enqueue(yield* subscribe(), 1)
      const outcome = yield* deliveries.redeliver(yield* subscribe(), id, act(), undefined)
      assert.strictEqual(outcome._tag, "NotFound")
    })
  )
})

layer(Stores, { timeout: "60 seconds" })("recovery", (it) => {
  it.effect("sends all failed deliveries of the time again, and nothing else", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const webhook = yield* subscribe()
      const failed = yield* enqueue(webhook, 5, { status: "failed" })
      yield* enqueue(webhook, 1, { status: "delivered" })
      yield* enqueue(yield* subscribe(), 1, { status: "failed" })
      yield* sql`update webhook_deliveries set created_at = '2026-01-02T00:00:00Z' where id = ${failed[0] ?? ""}::uuid`
      yield* sql`update webhook_deliveries set created_at = '2026-01-03T00:00:00Z' where id = ${failed[1] ?? ""}::uuid`
      const window = {
        since: new Date("2026-01-02T00:00:00Z"),
        until: new Date("2026-01-03T00:00:00Z")
      }
      assert.deepInclude(yield* recover(webhook, window), { requeued: 1, next: null })
      assert.strictEqual((yield* stored(failed[0] ?? "")).status, "pending")
      assert.strictEqual((yield* stored(failed[1] ?? "")).status, "failed")
      assert.deepInclude(yield* recover(webhook), { requeued: 4, next: null })
      assert.deepInclude(yield* recover(webhook), { requeued: 0, next: null })
    })
  )

  it.effect("goes on where it ended when there is more than one call takes", () =>
    Effect.gen(function* () {
      const webhook = yield* subscribe()
      yield* enqueue(webhook, 7, { status: "failed" })
      let since = EVERYTHING
      const counts: Array<number> = []
      for (;;) {
        const outcome = yield* recover(webhook, { since, limit: 3 })
        assert(outcome._tag === "Requeued")
        counts.push(outcome.requeued)
        if (outcome.next === null) break
        since = outcome.next
      }
      assert.deepEqual(counts, [3, 3, 1])
    })
  )

  it.effect("enqueues the events that a subscription wants and was never given, each once", () =>
    Effect.gen(function* () {
      const events = [
        newEvent({ type: "tct.revoked", runId: "r" }),
        newEvent({ type: "tct.revoked", runId: "another" }),
        newEvent({ type: "not.deliverable", runId: "r" }),
        newEvent({ type: "handshake.completed", runId: "r" })
      ]
      yield* record(...events)
      const webhook = yield* subscribe({ filter: { runId: "r" } })
      const given = newEvent({ type: "tct.revoked", runId: "r" })
      yield* record(given)
      assert.deepInclude(yield* recover(webhook), { requeued: 0 })
      assert.deepInclude(yield* recover(webhook, { missed: true }), { requeued: 2, next: null })
      assert.deepInclude(yield* recover(webhook, { missed: true }), { requeued: 0, next: null })
      assert.deepEqual(
        (yield* rowsOf(webhook)).map(({ eventId }) => eventId),
        [events[0]?.id, events[3]?.id, given.id]
      )
    })
  )

  it.effect("enqueues missed events of a time, part by part", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const events = Array.from({ length: 9 }, () => newEvent({ type: "tct.revoked", runId: "parts" }))
      for (const event of events) yield* record(event)
      const webhook = yield* subscribe({ filter: { runId: "parts" } })
      const [time] = yield* sql<{ readonly third: Date; readonly eighth: Date }>`
        select
          (select created_at from audit_events where id = ${events[2]?.id ?? ""}::uuid) as third,
          (select created_at + interval '1 millisecond' from audit_events where id = ${events[7]?.id ?? ""}::uuid) as eighth`
      let since = time?.third ?? EVERYTHING
      const found = new Set<string>()
      for (let calls = 0; calls < 20; calls += 1) {
        const outcome = yield* recover(webhook, {
          since,
          until: time?.eighth ?? since,
          missed: true,
          limit: 2
        })
        assert(outcome._tag === "Requeued")
        assert.isAtMost(outcome.requeued, 2)
        for (const { eventId } of yield* rowsOf(webhook)) found.add(eventId)
        if (outcome.next === null) break
        since = outcome.next
      }
      for (const { id } of events.slice(2, 8)) assert.isTrue(found.has(id))
      assert.isFalse(found.has(events[0]?.id ?? ""))
    })
  )

  it.effect("gets on when the same call is made again and again", () =>
    Effect.gen(function* () {
      yield* record(...Array.from({ length: 9 }, () => newEvent({ type: "tct.revoked", runId: "again" })))
      const webhook = yield* subscribe({ filter: { runId: "again" } })
      const counts: Array<number | string> = []
      for (let calls = 0; calls < 6; calls += 1)
        counts.push(requeuedOf(yield* recover(webhook, { missed: true, limit: 2 })))
      assert.deepEqual(counts, [2, 2, 2, 2, 1, 0])
    })
  )

  it.effect("finds where a time begins among positions that have gaps", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* record(...Array.from({ length: 40 }, () => newEvent()))
      yield* sql`delete from audit_events where seq % 3 = 0`
      yield* sql`update audit_events set created_at = timestamptz '2026-01-01T00:00:00Z' + seq * interval '1 second'`
      const [wrong] = yield* sql<{ readonly n: number }>`
        select count(*)::int as n from generate_series(-1, 80) as s
        cross join lateral (select timestamptz '2026-01-01T00:00:00Z' + s * interval '1 second' as at) as t
        where (select min(seq) from audit_events where seq >= position_at_v1(1::smallint, t.at)) is distinct from
          (select min(seq) from audit_events where created_at >= t.at)`
      assert.strictEqual(wrong?.n, 0)
    })
  )

  it.effect("is not done twice for one idempotency key that was taken over", () =>
    Effect.gen(function* () {
      const deliveries = yield* Deliveries
      const webhook = yield* subscribe()
      const [id = ""] = yield* enqueue(webhook, 1, { status: "failed" })
      const reservation = {
        scope: "webhooks.recover",
        credentialHash: "aa",
        key: "k",
        leaseToken: randomUUID(),
        status: 202
      }
      const outcome = yield* deliveries.recover(
        { webhookId: webhook, since: EVERYTHING, until: undefined, missed: true, limit: 10 },
        act(),
        { reservation, answer: { status: 202, facts: {} } }
      )
      assert.strictEqual(outcome._tag, "ReservationLost")
      assert.strictEqual((yield* stored(id)).status, "failed")
    })
  )
})

layer(Stores, { timeout: "60 seconds" })("a missed event", (it) => {
  it.effect("has the body that it would have had, whatever stands in it", () =>
    Effect.gen(function* () {
      const text = fc.oneof(
        fc.string({ unit: "binary" }),
        fc.constantFrom('"\\\u0001\u001f\u007f', "%s%%", "✓😀")
      )
      const clean = text.map((each) => each.replaceAll("\0", "").slice(0, 200))
      const arbitrary = fc.record({
        aidA: fc.option(clean),
        aidB: fc.option(clean),
        sessionId: fc.option(clean),
        grants: fc.option(fc.array(clean, { maxLength: 3 })),
        source: clean,
        payload: fc.json().map((json) => json.replaceAll("\\u0000", "")),
        ts: fc.integer({ min: 0, max: 4_000_000_000_000 }),
        type: fc.constantFrom("tct.revoked", "handshake.completed")
      })
      const enqueued = yield* subscribe({ filter: { runId: "bodies" } })
      const events = fc.sample(arbitrary, 150).map((each) => newEvent({ ...each, runId: "bodies" }))
      yield* record(...events)
      const late = yield* subscribe({ filter: { runId: "bodies" } })
      assert.deepInclude(yield* recover(late, { missed: true }), { requeued: 150 })
      const [before, after] = [yield* rowsOf(enqueued), yield* rowsOf(late)]
      assert.deepEqual(after.map(payloadText), before.map(payloadText))
      for (const { body, id, seq } of after) {
        const parsed = JSON.parse(body)
        assert.deepEqual(Object.keys(parsed), ["deliveryId", "eventType", "payload", "enqueuedAt"])
        assert.strictEqual(parsed.deliveryId, id)
        assert.strictEqual(parsed.payload.seq, seq)
      }
    })
  )
})

layer(Stores, { excludeTestServices: true, timeout: "60 seconds" })("listing", (it) => {
  it.effect("shows what waits for an open breaker as such, without touching it", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const deliveries = yield* Deliveries
      const webhook = yield* subscribe()
      const [due, later] = [
        ...(yield* enqueue(webhook, 1)),
        ...(yield* enqueue(webhook, 1, { dueSecsAgo: -3600 }))
      ] as [string, string] // one of each
      yield* sql`
        insert into webhook_breakers (webhook_id, state, opened_at, next_probe_at)
        values (${webhook}::uuid, 'open', now(), now() + interval '60 seconds')`
      const query = {
        webhookId: webhook,
        status: undefined,
        eventType: undefined,
        limit: 10,
        after: undefined
      }
      const shown = new Map((yield* deliveries.list(query)).map((row) => [row.id, row]))
      assert.deepInclude(shown.get(due), { status: "pending", attempts: 0, error: "circuit breaker open" })
      const wait = (shown.get(due)?.nextRetryAt?.getTime() ?? 0) - Date.now()
      assert.isAbove(wait, 55_000)
      assert.isAtMost(wait, 91_000)
      assert.isNull(shown.get(later)?.error)
      assert.isAbove((shown.get(later)?.nextRetryAt?.getTime() ?? 0) - Date.now(), 3_500_000)
      assert.isAtMost((yield* stored(due)).dueInSecs ?? 1, 0)
    })
  )

  it.effect("pages without gaps or repeats through deliveries of the same moment", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const deliveries = yield* Deliveries
      const webhook = yield* subscribe()
      const ids = yield* enqueue(webhook, 25, { status: "failed" })
      yield* sql`
        update webhook_deliveries set created_at = timestamptz '2026-01-02T00:00:00.123456Z'
          + (abs(hashtext(id::text)) % 3) * interval '1 microsecond'
        where webhook_id = ${webhook}::uuid`
      const query = { webhookId: webhook, status: "failed", eventType: "tct.revoked", limit: 4 }
      const seen: Array<string> = []
      let after: { createdAt: string; id: string } | undefined
      for (;;) {
        const page = yield* deliveries.list({ ...query, after })
        seen.push(...page.slice(0, 4).map(({ id }) => id))
        const last = page[3]
        if (page.length <= 4 || last === undefined) break
        after = { createdAt: last.position, id: last.id }
      }
      assert.lengthOf(seen, 25)
      assert.sameMembers(seen, ids)
      assert.deepEqual(yield* deliveries.list({ ...query, status: "no such", after: undefined }), [])
      assert.deepEqual(yield* deliveries.list({ ...query, eventType: "agent.expired", after: undefined }), [])
    })
  )

  it.effect("shows every attempt, oldest first, with the body as sent", () =>
    Effect.gen(function* () {
      const claims = yield* Claims
      const deliveries = yield* Deliveries
      const webhook = yield* subscribe()
      const [id = ""] = yield* enqueue(webhook, 1)
      const process = randomUUID()
      for (const response of ["first", "second"]) {
        const [row] = yield* claims.claim({
          process,
          leaseMs: 15_000,
          limit: 1,
          slots: 1,
          rooms: new Map(),
          newest: false
        })
        assert(row !== undefined && row.id === id)
        yield* claims.settle(process, [failureOf(row, { response, delayMs: 0 })], {
          threshold: 9,
          resetMs: 1000,
          slots: 8
        })
      }
      const found = yield* deliveries.findById(webhook, id)
      assert(found._tag === "Some")
      assert.deepInclude(found.value, { body: "{}", attempts: 2, status: "pending" })
      assert.deepEqual(
        found.value.attemptLog.map(({ response, statusCode }) => [statusCode, response]),
        [
          [500, "first"],
          [500, "second"]
        ]
      )
      assert.strictEqual((yield* deliveries.findById(yield* subscribe(), id))._tag, "None")
    })
  )
})
