import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Option } from "effect"
import { randomBytes, randomUUID } from "node:crypto"
import { system } from "../../../src/access/Principal.ts"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { completionWith, type Reservation } from "../../../src/idempotency/model.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"

const reporter = { principal: system, receivedAt: Date.UTC(2026, 0, 2) }

const isStored = Effect.fnUntraced(function* (id: string) {
  const events = yield* AuditEvents
  return Option.isSome(yield* events.findById(id, visibleToAll))
})

/** A key of its own, reserved for a request that is about to run. */
const reserve = Effect.gen(function* () {
  const keys = yield* IdempotencyKeys
  const identity = { scope: "events.ingest", credentialHash: "ab".repeat(32), key: randomUUID() }
  const leaseToken = randomUUID()
  yield* keys.reserve(identity, { fingerprint: randomBytes(32), leaseToken, leaseMs: 60_000 })
  return { ...identity, leaseToken, status: 200 } satisfies Reservation
})

const rowOf = Effect.fnUntraced(function* ({ key }: Reservation) {
  const { sql } = yield* Db
  const [row] = yield* sql<{
    readonly state: string
    readonly facts: Readonly<Record<string, unknown>> | null
  }>`
    select state, facts from idempotency_keys where key = ${key}`
  return row
})

layer(IdempotencyKeys.layer.pipe(Layer.provideMerge(Ledger)), {
  timeout: "60 seconds",
  excludeTestServices: true
})("group commit", (it) => {
  it.effect("answers each of many simultaneous requests with what became of its own events", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const shared = newEvent()
      yield* ingest.record(reporter, [shared])
      const answers = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => index),
        (index) => {
          const own = Array.from({ length: (index % 3) + 1 }, () => newEvent())
          const events = index % 10 === 0 ? [...own, shared] : own
          return Effect.map(ingest.record(reporter, events), (recorded) => ({ events, recorded }))
        },
        { concurrency: 100 }
      )
      const { sql } = yield* Db
      const rows = yield* sql<{ readonly id: string; readonly seq: number }>`
        select id, seq::float8 as seq from audit_events`
      const seqOf = new Map(rows.map(({ id, seq }) => [id, seq]))
      for (const { events, recorded } of answers) {
        assert.deepEqual(
          recorded.seqs,
          events.map(({ id }) => seqOf.get(id) ?? 0)
        )
        assert.deepEqual(
          recorded.outcomes,
          events.map((event) => (event === shared ? "duplicate" : "stored"))
        )
      }
      assert.strictEqual(new Set(seqOf.values()).size, rows.length)
      assert.strictEqual(Math.max(...seqOf.values()), rows.length)
    })
  )

  it.effect("lets a request that cannot be stored fail alone", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const poisoned = newEvent({ type: "poisoned\0" }) // Postgres stores no NUL
      const sound = Array.from({ length: 20 }, () => newEvent())
      const exits = yield* Effect.forEach(
        [...sound.slice(0, 10), poisoned, ...sound.slice(10)],
        (event) => Effect.exit(ingest.record(reporter, [event])),
        { concurrency: 21 }
      )
      assert.deepEqual(
        exits.map(Exit.isSuccess),
        exits.map((_, index) => index !== 10)
      )
      for (const { id } of sound) assert.isTrue(yield* isStored(id))
      assert.isFalse(yield* isStored(poisoned.id))
    })
  )

  it.effect("completes the keys of requests together with their events", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const known = newEvent()
      yield* ingest.record(reporter, [known])
      const reservations = yield* Effect.all(Array.from({ length: 5 }, () => reserve))
      const answers = yield* Effect.forEach(
        reservations,
        (reservation) =>
          ingest.record(
            reporter,
            [newEvent(), known, newEvent()],
            completionWith(reservation, { dropped: 1 })
          ),
        { concurrency: 5 }
      )
      for (const [index, reservation] of reservations.entries()) {
        const answer = answers[index]
        assert.isDefined(answer)
        assert.deepEqual(yield* rowOf(reservation), {
          state: "done",
          facts: {
            dropped: 1,
            inserted: 2,
            duplicates: 1,
            position: `${answer.epoch}.${answer.seqs[2] ?? 0}`
          }
        })
      }
    })
  )

  it.effect("stores nothing of a request whose key was taken over, and everything of those beside it", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const [kept, taken] = [yield* reserve, yield* reserve]
      const { sql } = yield* Db
      yield* sql`update idempotency_keys set lease_token = gen_random_uuid() where key = ${taken.key}`
      const events = [newEvent(), newEvent(), newEvent()] as const
      const [first, second, third] = yield* Effect.all(
        [
          Effect.exit(ingest.record(reporter, [events[0]], completionWith(kept, {}))),
          Effect.exit(ingest.record(reporter, [events[1]], completionWith(taken, {}))),
          Effect.exit(ingest.record(reporter, [events[2]]))
        ],
        { concurrency: 3 }
      )
      assert.isTrue(Exit.isSuccess(first) && Exit.isSuccess(third))
      assert.strictEqual(Option.getOrUndefined(Exit.findErrorOption(second))?._tag, "ReservationLost")
      assert.deepEqual(yield* Effect.forEach(events, ({ id }) => isStored(id)), [true, false, true])
      assert.strictEqual((yield* rowOf(kept))?.state, "done")
      assert.strictEqual((yield* rowOf(taken))?.state, "in_progress")
    })
  )
})
