import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { Breakers } from "../../../src/deliveries/Breakers.ts"
import { Claims } from "../../../src/deliveries/Claims.ts"
import type { Verdict } from "../../../src/deliveries/model.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import { eventually } from "../../support/db/eventually.ts"
import { enqueue, failureOf, resultOf, subscribe } from "../../support/webhooks/outbox.ts"

const RESET_MS = 300

interface State {
  readonly state: string
  readonly failures: number
  readonly successes: number
  readonly slots: number | null
  /** Seconds from the time of the verdicts. */
  readonly probeIn: number | null
  readonly failingFor: number | null
}

const fresh = { state: "closed", failures: 0 }

/** The state that verdicts lead to, with a threshold of 3, 60 s of rest and 8 slots. */
const after = Effect.fnUntraced(function* (
  verdicts: ReadonlyArray<Verdict>,
  from: { readonly state: string; readonly failures: number; readonly slots?: number } = fresh
) {
  const { sql } = yield* Db
  const [found] = yield* sql<State>`
    select n.state, n.failures, n.consecutive_successes as successes, n.slots,
      extract(epoch from n.next_probe_at - t.at)::float8 as probe_in,
      extract(epoch from t.at - n.failing_since)::float8 as failing_for
    from (select timestamptz '2026-01-02T03:04:05Z') as t (at)
    cross join lateral breaker_after_v1(
      jsonb_populate_record(null::webhook_breakers, ${sql.json({ consecutive_successes: 0, ...from })}),
      ${verdicts}::text[], t.at, 3, '60 s', 8) as n`
  return found
})

/** A process that attempts once what it can get; with how many deliveries it met. */
const attempt = Effect.fnUntraced(function* (
  succeeds: boolean,
  { process = randomUUID(), slots = 8 }: { readonly process?: string; readonly slots?: number } = {}
) {
  const claims = yield* Claims
  const rows = yield* claims.claim({
    process,
    leaseMs: 15_000,
    limit: 64,
    slots,
    rooms: new Map(),
    newest: false
  })
  const results = rows.map((row) => (succeeds ? resultOf(row) : failureOf(row, { delayMs: 0 })))
  if (rows.length > 0) yield* claims.settle(process, results, { threshold: 3, resetMs: RESET_MS, slots: 8 })
  return rows.length
})

const breakerOf = (webhook: string) => Effect.flatMap(Breakers, (breakers) => breakers.find(webhook))

/** A subscription with so many rows due whose breaker has just been opened. */
const opened = Effect.fnUntraced(function* (rows: number) {
  const { sql } = yield* Db
  yield* sql`truncate webhooks, webhook_deliveries, webhook_attempts, webhook_breakers`
  const webhook = yield* subscribe()
  yield* enqueue(webhook, rows)
  assert.strictEqual(yield* attempt(false, { slots: 3 }), 3)
  assert.strictEqual((yield* breakerOf(webhook)).state, "open")
  return webhook
})

const Stores = Layer.mergeAll(Breakers.layer, Claims.layer).pipe(Layer.provideMerge(TestDb))

layer(Stores, { excludeTestServices: true, timeout: "60 seconds" })("circuit breaker", (it) => {
  it.effect("opens after as many consecutive failures as the threshold, wherever they end", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* after(["down", "down"]), { state: "closed", failures: 2, probeIn: null })
      assert.deepInclude(yield* after(["down", "up", "down", "down"]), { state: "closed", failures: 2 })
      assert.deepInclude(yield* after(["down", "down", "down"]), { state: "open", failures: 3, probeIn: 60 })
      assert.deepInclude(yield* after(["down"], { state: "closed", failures: 2 }), { state: "open" })
      assert.deepInclude(yield* after(["down", "down", "down", "up"]), { state: "open" })
    })
  )

  it.effect("lets the probe decide", () =>
    Effect.gen(function* () {
      const halfOpen = { state: "half_open", failures: 3 }
      assert.deepInclude(yield* after(["up"], halfOpen), {
        state: "closed",
        failures: 0,
        successes: 1,
        slots: 1
      })
      assert.deepInclude(yield* after(["down"], halfOpen), { state: "open", probeIn: 60 })
    })
  )

  it.effect("gives an endpoint that is busy one slot, and twice as many with each success", () =>
    Effect.gen(function* () {
      const slots = Effect.fnUntraced(function* (...verdicts: ReadonlyArray<Verdict>) {
        return (yield* after(verdicts))?.slots
      })
      assert.strictEqual(yield* slots("down"), null)
      assert.strictEqual(yield* slots("busy"), 1)
      assert.strictEqual(yield* slots("busy", "up"), 2)
      assert.strictEqual(yield* slots("busy", "up", "up"), 4)
      assert.strictEqual(yield* slots("busy", "up", "up", "up"), null)
    })
  )

  it.effect("takes a refused target for a failure of nobody's, which still counts as failing", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* after(["none", "none", "none", "none"]), {
        state: "closed",
        failures: 0,
        failingFor: 0
      })
      assert.isNull((yield* after(["none", "up"]))?.failingFor)
    })
  )

  it.effect("holds everything back while it is open, then lets one probe pass among many processes", () =>
    Effect.gen(function* () {
      const webhook = yield* opened(40)
      const claims = yield* Claims
      assert.strictEqual(yield* attempt(true), 0)
      const claim = claims.claim({
        process: randomUUID(),
        leaseMs: 15_000,
        limit: 64,
        slots: 8,
        rooms: new Map(),
        newest: true
      })
      const probed = Effect.map(
        Effect.all(
          Array.from({ length: 6 }, () => claim),
          { concurrency: 6 }
        ),
        (found) => found.flat().length
      )
      assert.strictEqual(yield* eventually(probed, (n) => n > 0), 1)
      assert.strictEqual((yield* breakerOf(webhook)).state, "half_open")
      assert.strictEqual(yield* probed, 0)
    })
  )

  it.effect("closes with a probe that succeeds, and ramps up", () =>
    Effect.gen(function* () {
      const webhook = yield* opened(40)
      yield* eventually(attempt(true), (n) => n === 1)
      assert.deepInclude(yield* breakerOf(webhook), { state: "closed", failures: 0, openedAt: null })
      const counts: Array<number> = []
      for (let round = 0; round < 5; round += 1) counts.push(yield* attempt(true))
      assert.deepEqual(counts, [1, 2, 8, 8, 8])
    })
  )

  it.effect("opens again with a probe that fails", () =>
    Effect.gen(function* () {
      const webhook = yield* opened(40)
      const before = yield* breakerOf(webhook)
      yield* eventually(attempt(false), (n) => n === 1)
      const again = yield* breakerOf(webhook)
      assert.strictEqual(again.state, "open")
      assert.isAbove(again.nextProbeAt?.getTime() ?? 0, before.nextProbeAt?.getTime() ?? 0)
      assert.strictEqual(yield* attempt(true), 0)
    })
  )

  it.effect("gives the probe to another process when the one that had it is gone", () =>
    Effect.gen(function* () {
      yield* opened(40)
      const claims = yield* Claims
      const dead = {
        process: randomUUID(),
        leaseMs: 100,
        limit: 1,
        slots: 8,
        rooms: new Map(),
        newest: false
      }
      yield* eventually(claims.claim(dead), (rows) => rows.length === 1)
      yield* eventually(Effect.andThen(claims.tidy(100), attempt(true)), (n) => n === 1)
    })
  )

  it.effect("keeps the probe as long as its claim is renewed", () =>
    Effect.gen(function* () {
      yield* opened(40)
      const claims = yield* Claims
      const process = randomUUID()
      const claim = { process, leaseMs: 400, limit: 1, slots: 8, rooms: new Map(), newest: false }
      const [probe] = yield* eventually(claims.claim(claim), (rows) => rows.length === 1)
      const until = Date.now() + 1000
      while (Date.now() < until) {
        assert.strictEqual((yield* claims.renew(process, [probe?.id ?? ""], 400)).size, 1)
        assert.strictEqual(yield* attempt(true), 0)
      }
    })
  )

  it.effect("names subscriptions that have only failed for long enough, as of their newest failure", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* sql`truncate webhooks, webhook_breakers`
      const [failing, oneFailure, recent, inactive] = [
        yield* subscribe({ url: "https://failing.example.com" }),
        yield* subscribe(),
        yield* subscribe(),
        yield* subscribe({ active: false })
      ]
      const failed = (webhook: string, sinceHours: number, lastHours: number) => sql`
        insert into webhook_breakers (webhook_id, state, failing_since, last_failed_at) values (
          ${webhook}::uuid, 'open', now() - make_interval(hours => ${sinceHours}::int),
          now() - make_interval(hours => ${lastHours}::int))`
      yield* failed(failing, 121, 0)
      yield* failed(oneFailure, 200, 200)
      yield* failed(recent, 100, 0)
      yield* failed(inactive, 121, 0)
      const found = yield* Effect.flatMap(Breakers, (breakers) => breakers.listFailing(120, 10))
      assert.deepEqual(found, [{ id: failing, url: "https://failing.example.com" }])
    })
  )
})
