import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import * as fc from "fast-check"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { idempotencyCompletions } from "../../../src/idempotency/completion.ts"
import { fingerprint } from "../../../src/idempotency/fingerprint.ts"
import { Idempotency } from "../../../src/idempotency/Idempotency.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { completionWith, type Reservation } from "../../../src/idempotency/model.ts"
import { BadRequest } from "../../../src/wire/errors.ts"
import { acting, Acts, ask } from "../../support/idempotency/acts.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import { eventually } from "../../support/db/eventually.ts"
import { testPlatform } from "../../support/TestPlatform.ts"

/** Leases are dead from the start: whoever comes second takes over. */
const Suite = Idempotency.layerOf({ leaseMs: 0 }).pipe(
  Layer.provideMerge(Layer.mergeAll(IdempotencyKeys.layer, Acts.layer)),
  Layer.provideMerge(testPlatform()),
  Layer.provideMerge(TestDb)
)

const fresh = () => `k-${randomUUID()}`
const sameRequest = { method: "POST", path: "/api/acts", namespace: undefined, body: Buffer.from("{}") }

/** A reservation as a process makes it that is never heard of again. */
const reserve = Effect.fnUntraced(function* (key: string, leaseMs = 0) {
  const identity = { scope: acting.scope, credentialHash: "aa", key }
  const leaseToken = randomUUID()
  const found = yield* (yield* IdempotencyKeys).reserve(identity, {
    fingerprint: fingerprint(sameRequest),
    leaseToken,
    leaseMs
  })
  const reservation: Reservation = { ...identity, leaseToken, status: acting.status }
  return { found, reservation }
})

layer(Suite, { timeout: "60 seconds", excludeTestServices: true })("leases of idempotency keys", (it) => {
  it.effect("lets the next request take over what a crash has left, once its lease is dead", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      yield* reserve(key)
      assert.deepInclude(yield* ask({ key }, act(key)), { outcome: "201", replayed: false })
      assert.strictEqual(yield* times(key), 1)

      const alive = fresh()
      yield* reserve(alive, 60_000)
      assert.strictEqual((yield* ask({ key: alive }, act(alive))).outcome, "error IDEMPOTENCY_IN_PROGRESS")
    })
  )

  it.effect("undoes nothing and does nothing for a request that was paused beyond its lease", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      const [begun, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const paused = yield* Effect.forkChild(
        ask({ key }, (reservation) =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(go)),
            Effect.andThen(act(key)(reservation))
          )
        )
      )
      yield* Deferred.await(begun)
      const winner = yield* ask({ key }, act(key))
      assert.isFalse(winner.replayed)
      yield* Deferred.succeed(go, undefined)
      assert.deepEqual(yield* Fiber.join(paused), { ...winner, replayed: true })
      assert.strictEqual(yield* times(key), 1)
    })
  )

  it.effect("fences outcomes without effects, too", () =>
    Effect.gen(function* () {
      const { act } = yield* Acts
      const key = fresh()
      const winner = yield* ask({ key }, () =>
        ask({ key }, act(key)).pipe(Effect.orDie, Effect.andThen(Effect.fail(new BadRequest({}))))
      )
      assert.deepInclude(winner, { outcome: "201", replayed: true })
    })
  )

  it.effect("lets nobody take over between the fence and the commit", () =>
    Effect.gen(function* () {
      const { sql, withTransaction } = yield* Db
      const [key, alive] = [fresh(), fresh()]
      const completions = [yield* reserve(key), yield* reserve(alive, 60_000)].map(({ reservation }) =>
        completionWith(reservation, { label: key, times: 1 })
      )
      const array = idempotencyCompletions(sql, completions)
      const fenced = yield* Deferred.make<void>()
      // forked out here, since what is forked inside belongs to the transaction
      const [heir, copy] = [
        yield* Effect.forkChild(Effect.andThen(Deferred.await(fenced), reserve(key))),
        yield* Effect.forkChild(Effect.andThen(Deferred.await(fenced), reserve(alive)))
      ]
      yield* withTransaction(
        Effect.gen(function* () {
          yield* sql`select lost_idempotency_v1(${array})`
          yield* Deferred.succeed(fenced, undefined)
          assert.deepEqual((yield* Fiber.join(copy)).found, { _tag: "InProgress" })
          const waiting = sql`select 1 from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))`
          yield* eventually(waiting, (rows) => rows.length === 1)
          yield* sql`select complete_idempotency_many_v1(${array})`
        })
      )
      const answer = { status: acting.status, facts: { label: key, times: 1 } }
      assert.deepEqual((yield* Fiber.join(heir)).found, { _tag: "Done", answer })
    })
  )

  it.effect("fences and completes many at once, place by place", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const [held, stolen, other] = [fresh(), fresh(), fresh()]
      const first = (yield* reserve(held)).reservation
      const second = (yield* reserve(stolen)).reservation
      const third = (yield* reserve(other)).reservation
      assert.deepEqual((yield* reserve(stolen)).found, { _tag: "Reserved", takenOver: true })
      const body = { bytes: Buffer.from("stored"), mediaType: "text/plain" }
      const array = idempotencyCompletions(sql, [
        undefined,
        completionWith(first, { label: "a" }),
        completionWith(second, { label: "b" }),
        undefined,
        { reservation: third, answer: { status: 409, body } }
      ])
      const facts = ["null", '{"times":1}', '{"times":2}', "null", "null"]
      const [row] = yield* sql<{ readonly lost: ReadonlyArray<number>; readonly completed: number }>`
        select lost_idempotency_v1(${array}) as lost,
          complete_idempotency_many_v1(${array}, (
            select array_agg(nullif(f, 'null')::jsonb order by n)
            from unnest(${facts}::text[]) with ordinality as t (f, n))) as completed`
      assert.deepEqual(row, { lost: [3], completed: 2 })
      assert.deepInclude((yield* reserve(held)).found, {
        answer: { status: 201, facts: { label: "a", times: 1 } }
      })
      assert.deepInclude((yield* reserve(other)).found, { answer: { status: 409, body } })
      assert.deepInclude((yield* reserve(stolen)).found, { _tag: "Reserved" })

      const [none] = yield* sql<{ readonly lost: ReadonlyArray<number>; readonly completed: number }>`
        select lost_idempotency_v1(${idempotencyCompletions(sql, [])}) as lost,
          complete_idempotency_many_v1(${idempotencyCompletions(sql, [])}) as completed`
      assert.deepEqual(none, { lost: [], completed: 0 })
    })
  )

  it.effect("removes what is old: outcomes and abandoned reservations, not running ones", () =>
    Effect.gen(function* () {
      const { act, states } = yield* Acts
      const { sql } = yield* Db
      const { prune } = yield* IdempotencyKeys
      const [done, abandoned, running, recent] = [fresh(), fresh(), fresh(), fresh()]
      yield* ask({ key: done }, act(done))
      yield* reserve(abandoned)
      yield* reserve(running, 60_000)
      yield* sql`
        update idempotency_keys
        set created_at = created_at - interval '9 days',
          lease_until = case when key = ${running} then lease_until else lease_until - interval '9 days' end
        where key in (${done}, ${abandoned}, ${running})`
      yield* ask({ key: recent }, act(recent))
      const before = new Date(Date.now() - 7 * 86_400_000)
      assert.deepEqual(
        [yield* prune(before, 1), yield* prune(before, 10), yield* prune(before, 10)],
        [1, 1, 0]
      )
      const left = yield* Effect.forEach([done, abandoned, running, recent], states)
      assert.deepEqual(left, [[], [], ["in_progress"], ["done"]])
    })
  )

  it.effect("executes exactly once, whatever crashes, pauses and repeats", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const context = yield* Effect.context<Acts | Db | Idempotency | IdempotencyKeys>()
      const step = fc.constantFrom("ask", "crash", "crash late", "pause", "resume", "interrupt", "fault")

      const play = Effect.fnUntraced(function* (steps: ReadonlyArray<string>, concurrency: number) {
        const key = fresh()
        const answers: Array<string> = []
        const paused: Array<Reservation> = []
        const retry = Effect.gen(function* () {
          const { outcome, text } = yield* ask({ key }, act(key))
          if (outcome === "201") answers.push(text)
        })
        const one = Effect.fnUntraced(function* (what: string) {
          switch (what) {
            case "ask":
              return yield* retry
            case "interrupt":
              return yield* Effect.exit(ask({ key }, () => Effect.interrupt))
            case "fault":
              return yield* Effect.exit(ask({ key }, () => Effect.die("fault")))
            case "resume": {
              const reservation = paused.shift()
              return reservation && (yield* Effect.exit(act(key)(reservation)))
            }
          }
          const { found, reservation } = yield* reserve(key)
          if (found._tag !== "Reserved") return
          if (what === "pause") paused.push(reservation)
          if (what === "crash late") yield* Effect.exit(act(key)(reservation))
        })
        yield* Effect.forEach(steps, one, { concurrency, discard: true })
        yield* retry
        for (const reservation of paused) yield* Effect.exit(act(key)(reservation))
        yield* retry
        assert.strictEqual(yield* times(key), 1, steps.join(", "))
        assert.deepEqual([...new Set(answers)], [JSON.stringify({ label: key, times: 1 })])
      })

      const property = fc.asyncProperty(
        fc.array(step, { maxLength: 12 }),
        fc.constantFrom(1, 6),
        (steps, concurrency) => Effect.runPromiseWith(context)(play(steps, concurrency))
      )
      yield* Effect.promise(() => fc.assert(property, { numRuns: 100 }))
    })
  )

  it.effect("gives back only what is still held", () =>
    Effect.gen(function* () {
      const { release } = yield* IdempotencyKeys
      const { states } = yield* Acts
      const key = fresh()
      const { reservation } = yield* reserve(key)
      const successor = yield* reserve(key)
      yield* release(reservation)
      assert.deepEqual(yield* states(key), ["in_progress"])
      yield* release(successor.reservation)
      assert.deepEqual(yield* states(key), [])
    })
  )
})
