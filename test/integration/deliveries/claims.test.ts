import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { Claims, type ClaimRequest } from "../../../src/deliveries/Claims.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import { enqueue, failureOf, resultOf, stored, subscribe } from "../../support/webhooks/outbox.ts"

const RULES = { threshold: 5, resetMs: 60_000, slots: 8 }

const request = (process: string, over: Partial<ClaimRequest> = {}): ClaimRequest => ({
  process,
  leaseMs: 15_000,
  limit: 64,
  slots: 8,
  rooms: new Map(),
  newest: false,
  ...over
})

/** Takes over what every other test has left. */
const cleared = Effect.gen(function* () {
  const { sql } = yield* Db
  yield* sql`truncate webhooks, webhook_deliveries, webhook_attempts, webhook_breakers, webhook_removals`
})

const claimFor = (process: string, over: Partial<ClaimRequest> = {}) =>
  Effect.flatMap(Claims, (claims) => claims.claim(request(process, over)))

const countBy = (rows: ReadonlyArray<{ readonly webhookId: string }>) => {
  const counts = new Map<string, number>()
  for (const { webhookId } of rows) counts.set(webhookId, (counts.get(webhookId) ?? 0) + 1)
  return counts
}

layer(Claims.layer.pipe(Layer.provideMerge(TestDb)), { excludeTestServices: true, timeout: "60 seconds" })(
  "claims",
  (it) => {
    it.effect("give every subscription its first rows before any gets more than its slots", () =>
      Effect.gen(function* () {
        yield* cleared
        const [big, small] = [yield* subscribe(), yield* subscribe()]
        yield* enqueue(big, 100, { dueSecsAgo: 1000 })
        const mine = yield* enqueue(small, 2, { dueSecsAgo: 1 })
        const found = yield* claimFor(randomUUID(), { limit: 4 })
        assert.deepEqual(
          countBy(found),
          new Map([
            [big, 2],
            [small, 2]
          ])
        )
        assert.sameMembers(
          found.filter(({ webhookId }) => webhookId === small).map(({ id }) => id),
          mine
        )
        assert.deepEqual(countBy(yield* claimFor(randomUUID())), new Map())
      })
    )

    it.effect("take the oldest and the newest rows in turns", () =>
      Effect.gen(function* () {
        yield* cleared
        const webhook = yield* subscribe()
        const ids = yield* enqueue(webhook, 20)
        const process = randomUUID()
        const [oldest] = yield* claimFor(process, { slots: 1 })
        const [newest] = yield* claimFor(process, { slots: 1, newest: true })
        assert.strictEqual(oldest?.id, ids[0])
        assert.strictEqual(newest?.id, ids[19])
        const found = yield* claimFor(process, { slots: 4 })
        assert.sameMembers(
          found.map(({ id }) => id),
          [ids[1], ids[2], ids[18], ids[17]]
        )
      })
    )

    it.effect("take what the process has room for, and only what is due", () =>
      Effect.gen(function* () {
        yield* cleared
        const [a, b, later] = [yield* subscribe(), yield* subscribe(), yield* subscribe()]
        yield* enqueue(a, 40)
        yield* enqueue(b, 40)
        yield* enqueue(later, 1, { dueSecsAgo: -60 })
        const rooms = new Map([
          [a, 20],
          [b, 0]
        ])
        assert.deepEqual(countBy(yield* claimFor(randomUUID(), { rooms })), new Map([[a, 20]]))
      })
    )

    it.effect("leave inactive subscriptions, and those that another process works on, alone", () =>
      Effect.gen(function* () {
        yield* cleared
        const [taken, free, inactive] = [
          yield* subscribe(),
          yield* subscribe(),
          yield* subscribe({ active: false })
        ]
        yield* enqueue(taken, 20)
        const [one, other] = [randomUUID(), randomUUID()]
        assert.lengthOf(yield* claimFor(one, { slots: 2 }), 2)
        yield* enqueue(free, 1)
        yield* enqueue(inactive, 1)
        assert.deepEqual(countBy(yield* claimFor(other)), new Map([[free, 1]]))
        assert.deepEqual(countBy(yield* claimFor(one)), new Map([[taken, 8]]))
      })
    )

    it.effect("never meet: of many processes at once one works on a subscription", () =>
      Effect.gen(function* () {
        yield* cleared
        const { sql } = yield* Db
        const claims = yield* Claims
        const webhooks = yield* Effect.forEach([1, 2, 3], () => subscribe())
        yield* Effect.forEach(webhooks, (webhook) => enqueue(webhook, 60))
        const seen = new Map<string, number>()
        const overlap = sql<{ readonly n: number }>`
          select count(*)::int as n from (
            select webhook_id from webhook_deliveries where claimed_until > clock_timestamp()
            group by 1 having count(distinct claimed_by) > 1) as shared`
        const worker = Effect.gen(function* () {
          const process = randomUUID()
          for (let round = 0; round < 40; round += 1) {
            const found = yield* claims.claim(request(process, { slots: 3, newest: round % 2 === 0 }))
            for (const { id } of found) seen.set(id, (seen.get(id) ?? 0) + 1)
            const [shared] = yield* overlap
            assert.strictEqual(shared?.n, 0)
            if (found.length > 0)
              yield* claims.settle(
                process,
                found.map((row) => resultOf(row)),
                RULES
              )
          }
        })
        yield* Effect.forEach([1, 2, 3, 4], () => worker, { concurrency: 4, discard: true })
        assert.strictEqual(seen.size, 180)
        assert.isTrue([...seen.values()].every((times) => times === 1))
      })
    )

    it.effect("can be renewed while they last, and are lost when they have run out", () =>
      Effect.gen(function* () {
        yield* cleared
        const claims = yield* Claims
        const webhook = yield* subscribe()
        yield* enqueue(webhook, 2)
        const process = randomUUID()
        const [kept, lost] = yield* claimFor(process)
        assert(kept !== undefined && lost !== undefined)
        const { sql } = yield* Db
        yield* sql`update webhook_deliveries set claimed_until = clock_timestamp() where id = ${lost.id}::uuid`
        assert.deepEqual(yield* claims.renew(randomUUID(), [kept.id], 15_000), new Set())
        assert.deepEqual(yield* claims.renew(process, [kept.id, lost.id], 15_000), new Set([kept.id]))
        assert.deepEqual(yield* claims.tidy(100), { freed: 1, givenUp: 0 })
        assert.isFalse((yield* stored(lost.id)).claimed)
        assert.isTrue((yield* stored(kept.id)).claimed)
      })
    )

    it.effect("go back unattempted, some or all", () =>
      Effect.gen(function* () {
        yield* cleared
        const claims = yield* Claims
        const webhook = yield* subscribe()
        const ids = yield* enqueue(webhook, 3)
        const process = randomUUID()
        yield* claimFor(process)
        yield* claims.release(process, ids.slice(0, 1))
        yield* claims.release(randomUUID())
        const claimed = Effect.forEach(ids, (id) => Effect.map(stored(id), (row) => row.claimed))
        assert.deepEqual(yield* claimed, [false, true, true])
        yield* claims.release(process)
        assert.deepEqual(yield* claimed, [false, false, false])
        assert.strictEqual((yield* stored(ids[0] ?? "")).attempts, 0)
      })
    )
  }
)

layer(Claims.layer.pipe(Layer.provideMerge(TestDb)), { excludeTestServices: true, timeout: "60 seconds" })(
  "settling",
  (it) => {
    it.effect("writes state, attempt and next time, once", () =>
      Effect.gen(function* () {
        yield* cleared
        const claims = yield* Claims
        const webhook = yield* subscribe()
        yield* enqueue(webhook, 3)
        const process = randomUUID()
        const [a, b, c] = yield* claimFor(process)
        assert(a !== undefined && b !== undefined && c !== undefined)
        const results = [
          resultOf(a),
          failureOf(b, { delayMs: 90_000 }),
          failureOf(c, { status: "failed", delayMs: null })
        ]
        const [state] = yield* claims.settle(process, results, RULES)
        assert.sameMembers([...(state?.settled ?? [])], [a.id, b.id, c.id])
        assert.deepEqual(yield* claims.settle(process, results, RULES), [])

        assert.deepInclude(yield* stored(a.id), {
          status: "delivered",
          attempts: 1,
          error: null,
          statusCode: 200,
          claimed: false,
          dueInSecs: null,
          log: 1
        })
        const again = yield* stored(b.id)
        assert.deepInclude(again, {
          status: "pending",
          attempts: 1,
          error: "non-2xx (500): no",
          claimed: false,
          log: 1
        })
        assert.closeTo(again.dueInSecs ?? 0, 90, 5)
        assert.deepInclude(yield* stored(c.id), { status: "failed", attempts: 1, dueInSecs: null, log: 1 })
      })
    )

    it.effect("counts the pause by the database's clock, whatever the replica's says", () =>
      Effect.gen(function* () {
        yield* cleared
        const claims = yield* Claims
        yield* enqueue(yield* subscribe(), 1)
        const process = randomUUID()
        const [row] = yield* claimFor(process)
        assert(row !== undefined)
        const at = new Date(Date.now() + 3_600_000)
        yield* claims.settle(process, [failureOf(row, { at, delayMs: 90_000 })], RULES)
        assert.closeTo((yield* stored(row.id)).dueInSecs ?? 0, 90, 5)
      })
    )

    it.effect("changes nothing for a process that has lost the claim to another one", () =>
      Effect.gen(function* () {
        yield* cleared
        const { sql } = yield* Db
        const claims = yield* Claims
        const webhook = yield* subscribe()
        yield* enqueue(webhook, 1)
        const [paused, successor] = [randomUUID(), randomUUID()]
        const [before] = yield* claimFor(paused)
        assert(before !== undefined)
        yield* sql`update webhook_deliveries set claimed_until = clock_timestamp()`
        yield* claims.tidy(100)
        const [after] = yield* claimFor(successor)
        assert(after !== undefined)

        assert.deepEqual(yield* claims.settle(paused, [failureOf(before)], RULES), [])
        assert.deepInclude(yield* stored(after.id), { status: "pending", attempts: 0, claimed: true, log: 0 })
        yield* claims.settle(successor, [failureOf(after, { delayMs: 0 })], RULES)
        // Claimed by it once more, at another attempt: what it sent before counts no longer.
        const [third] = yield* claimFor(paused)
        assert.strictEqual(third?.attempts, 1)
        assert.deepEqual(yield* claims.settle(paused, [resultOf(before)], RULES), [])
        assert.deepInclude(yield* stored(after.id), { status: "pending", attempts: 1, log: 1 })
      })
    )

    it.effect("survives that the delivery or the subscription has been removed meanwhile", () =>
      Effect.gen(function* () {
        yield* cleared
        const { sql } = yield* Db
        const claims = yield* Claims
        const [gone, webhook] = [yield* subscribe(), yield* subscribe()]
        yield* enqueue(gone, 2)
        yield* enqueue(webhook, 1)
        const process = randomUUID()
        const rows = yield* claimFor(process)
        const [removed, ...rest] = rows.filter(({ webhookId }) => webhookId === gone)
        yield* sql`delete from webhook_deliveries where id = ${removed?.id ?? null}::uuid`
        yield* sql`delete from webhook_breakers where webhook_id = ${gone}::uuid`
        const states = yield* claims.settle(
          process,
          rows.map((row) => resultOf(row)),
          RULES
        )
        assert.deepEqual(
          states.flatMap(({ settled }) => settled).toSorted(),
          rows
            .filter(({ id }) => id !== removed?.id)
            .map(({ id }) => id)
            .toSorted()
        )
        assert.lengthOf(rest, 1)
        assert.isNull(states.find(({ webhookId }) => webhookId === gone)?.state)
        assert.strictEqual(states.find(({ webhookId }) => webhookId === webhook)?.state, "closed")
      })
    )

    it.effect(
      "gives up what is due to a subscription that is inactive or gone, unless it is being removed",
      () =>
        Effect.gen(function* () {
          yield* cleared
          const { sql } = yield* Db
          const claims = yield* Claims
          const [active, inactive, gone, removed] = [
            yield* subscribe(),
            yield* subscribe({ active: false }),
            randomUUID(),
            randomUUID()
          ]
          yield* sql`insert into webhook_removals (webhook_id) values (${removed}::uuid)`
          const due = yield* Effect.forEach([active, inactive, gone, removed], (webhook) =>
            enqueue(webhook, 1)
          )
          const [later] = yield* enqueue(inactive, 1, { dueSecsAgo: -60 })
          assert.deepEqual(yield* claims.tidy(100), { freed: 0, givenUp: 2 })
          const states = yield* Effect.forEach([...due.flat(), later ?? ""], stored)
          assert.deepEqual(
            states.map(({ error, status }) => [status, error]),
            [
              ["pending", null],
              ["failed", "webhook missing or inactive"],
              ["failed", "webhook missing or inactive"],
              ["pending", null],
              ["pending", null]
            ]
          )
        })
    )
  }
)
