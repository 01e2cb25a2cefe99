import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import type { NewEvent } from "../../../src/events/model.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"

const reporter = { principal: system, receivedAt: Date.UTC(2026, 0, 2) }

const subscribe = Effect.fnUntraced(function* (given: {
  readonly events?: ReadonlyArray<string>
  readonly filter?: Readonly<Record<string, string>>
  readonly active?: boolean
}) {
  const { sql } = yield* Db
  const id = randomUUID()
  yield* sql`
    insert into webhooks (id, url, events, filter, secret_enc, key_id, secret_hint, active, created_at, updated_at)
    values (${id}::uuid, 'https://receiver.example.com', ${sql.json(given.events ?? [])}, ${sql.json(given.filter ?? {})},
      ''::bytea, 'k', 'hint', ${given.active ?? true}, now(), now())`
  return id
})

interface Delivery {
  readonly id: string
  readonly eventId: string
  readonly eventSeq: number
  readonly eventType: string
  readonly body: string
  readonly status: string
}

const deliveriesOf = Effect.fnUntraced(function* (webhook: string) {
  const { sql } = yield* Db
  return yield* sql<Delivery>`
    select id, event_id, event_seq::float8 as event_seq, event_type, body, status
    from webhook_deliveries d where webhook_id = ${webhook}::uuid order by d.event_seq`
})

const record = (...events: ReadonlyArray<NewEvent>) =>
  Effect.flatMap(Ingest, (ingest) => ingest.record(reporter, events))

/** Types of the events that a subscription to `names` gets of one event of each type. */
const delivered = Effect.fnUntraced(function* (names: ReadonlyArray<string>, types: ReadonlyArray<string>) {
  const webhook = yield* subscribe({ events: names })
  yield* record(...types.map((type) => newEvent({ type })))
  const rows = yield* deliveriesOf(webhook)
  return rows.map(({ eventType }) => eventType)
})

const agentTypes = ["agent.registered", "agent.expired", "agent.deregistered"]
const named = ["webhook.disabled", "agent.integrity_failed", "agent.clone_suspected"]
const never = ["handshake.started", "tct.issued", "capability.invoked", "anything"]
const everything = [
  ...agentTypes,
  "handshake.completed",
  "handshake.failed",
  "tct.revoked",
  ...named,
  ...never
]

layer(Ledger, { timeout: "60 seconds" })("outbox", (it) => {
  it.effect("writes the body as it will be sent, with the position as last member of the payload", () =>
    Effect.gen(function* () {
      const webhook = yield* subscribe({})
      const event = newEvent({
        type: "handshake.completed",
        aidA: 'a"b',
        sessionId: "s",
        grants: ["x"],
        payload: '{"100%":"%s"}',
        source: "runner"
      })
      const { seqs } = yield* record(event)
      const [row] = yield* deliveriesOf(webhook)
      assert.isDefined(row)
      assert.deepInclude(row, {
        eventId: event.id,
        eventSeq: seqs[0] ?? 0,
        eventType: "handshake.complete",
        status: "pending"
      })
      const enqueuedAt = String(JSON.parse(row.body).enqueuedAt)
      assert.match(enqueuedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.strictEqual(
        row.body,
        `{"deliveryId":"${row.id}","eventType":"handshake.complete","payload":{"id":"${event.id}",` +
          `"type":"handshake.completed","ts":"2026-01-02T03:04:05.678Z","aidA":"a\\"b","sessionId":"s","grants":["x"],` +
          `"payload":{"100%":"%s"},"source":"runner","seq":${seqs[0]}},"enqueuedAt":"${enqueuedAt}"}`
      )
    })
  )

  it.effect("delivers the six types to a subscription without a list, and no other", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* delivered([], everything), [
        ...agentTypes,
        "handshake.complete",
        "handshake.failed",
        "tct.revoked"
      ])
    })
  )

  it.effect("takes names, prefixes and the alias, and ignores what cannot be delivered", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* delivered(["agent.*"], everything), agentTypes)
      assert.deepEqual(yield* delivered(["handshake.completed"], everything), ["handshake.complete"])
      assert.deepEqual(yield* delivered(["webhook.disabled", "tct.issued"], everything), ["webhook.disabled"])
      assert.deepEqual(yield* delivered(["nothing.like.it"], everything), [])
    })
  )

  it.effect("applies the filter to either party, run and namespace", () =>
    Effect.gen(function* () {
      const webhook = yield* subscribe({ filter: { aid: "me", runId: "r", namespace: "n" } })
      const fits = { type: "handshake.failed", runId: "r", namespace: "n" }
      const [asA, asB] = [newEvent({ ...fits, aidA: "me" }), newEvent({ ...fits, aidB: "me" })]
      yield* record(
        asA,
        asB,
        newEvent({ ...fits, aidA: "other" }),
        newEvent({ ...fits, aidA: "me", runId: "other" }),
        newEvent({ ...fits, aidA: "me", namespace: null })
      )
      const rows = yield* deliveriesOf(webhook)
      assert.deepEqual(
        rows.map(({ eventId }) => eventId),
        [asA.id, asB.id]
      )
    })
  )

  it.effect(
    "takes either spelling of an Ed25519 AID for the other, and texts that are no AIDs as they are",
    () =>
      Effect.gen(function* () {
        const [key, other] = ["A".repeat(43), "B".repeat(43)]
        const [plain, tagged, short] = [
          `aid:pubkey:${key}`,
          `aid:pubkey:ed25519:${key}`,
          "aid:pubkey:ed25519:me"
        ]
        const matching = Effect.fnUntraced(function* (aid: string, party: string) {
          const webhook = yield* subscribe({ filter: { aid } })
          yield* record(newEvent({ type: "handshake.failed", aidB: party }))
          return (yield* deliveriesOf(webhook)).length
        })
        for (const [aid, party, count] of [
          [plain, tagged, 1],
          [tagged, plain, 1],
          [tagged, tagged, 1],
          [plain, `aid:pubkey:ed25519:${other}`, 0],
          [`aid:pubkey:p256:${key}A`, tagged, 0],
          ["aid:pubkey:me", short, 0],
          [short, short, 1]
        ] as const) {
          assert.strictEqual(yield* matching(aid, party), count, `${aid} ${party}`)
        }
      })
  )

  it.effect(
    "enqueues an event once, however often it is reported, and nothing for an inactive subscription",
    () =>
      Effect.gen(function* () {
        const webhook = yield* subscribe({ events: ["tct.revoked"] })
        const inactive = yield* subscribe({ events: ["tct.revoked"], active: false })
        const event = newEvent({ type: "tct.revoked" })
        yield* record(event, event)
        yield* record(event)
        assert.strictEqual((yield* deliveriesOf(webhook)).length, 1)
        assert.strictEqual((yield* deliveriesOf(inactive)).length, 0)
      })
  )

  it.effect(
    "serves the very next event after a subscription, although none existed when owners were remembered",
    () =>
      Effect.gen(function* () {
        const { sql } = yield* Db
        yield* sql`delete from webhooks`
        yield* record(newEvent({ type: "agent.expired" }))
        const webhook = yield* subscribe({})
        yield* record(newEvent({ type: "agent.expired" }))
        assert.strictEqual((yield* deliveriesOf(webhook)).length, 1)
      })
  )
})
