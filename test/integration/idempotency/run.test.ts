import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { Idempotency } from "../../../src/idempotency/Idempotency.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import {
  AlreadyExists,
  BadRequest,
  BodyInvalid,
  IdempotencyInProgress,
  NotFound,
  PayloadTooLarge,
  RateLimited,
  TokenInvalid,
  Unavailable
} from "../../../src/wire/errors.ts"
import { Acts, ask } from "../../support/idempotency/acts.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import { eventually } from "../../support/db/eventually.ts"
import { testPlatform } from "../../support/TestPlatform.ts"

const Suite = Idempotency.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(IdempotencyKeys.layer, Acts.layer)),
  Layer.provideMerge(testPlatform()),
  Layer.provideMerge(TestDb)
)

/** A key, and the label of its act, of its own. */
const fresh = () => `k-${randomUUID()}`

layer(Suite, { timeout: "60 seconds", excludeTestServices: true })("idempotency of a route", (it) => {
  it.effect("executes once and answers every repeat with the same bytes", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      const first = yield* ask({ key }, act(key))
      assert.deepInclude(first, { outcome: "201", replayed: false })
      for (const spelling of [key, ` ${key} `, `"${key}"`]) {
        const again = yield* ask({ key: spelling }, act(key))
        assert.deepEqual(again, { ...first, replayed: true })
      }
      assert.strictEqual(yield* times(key), 1)
    })
  )

  it.effect("leaves requests without the header alone", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const { sql } = yield* Db
      const rows = sql<{ readonly n: number }>`select count(*)::int as n from idempotency_keys`
      const before = yield* rows
      const label = fresh()
      for (const expected of [1, 2]) {
        const { replayed, text } = yield* ask({}, act(label))
        assert.deepEqual([replayed, text], [false, JSON.stringify({ label, times: expected })])
      }
      assert.deepEqual([yield* times(label), yield* rows], [2, before])
    })
  )

  it.effect("refuses a key that cannot be one, before anything runs", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const label = fresh()
      // a tab inside is the one control character that a header can carry
      for (const key of ["", '""', "a\tb", "k".repeat(256)]) {
        const { outcome } = yield* ask({ key }, act(label))
        assert.strictEqual(outcome, "error IDEMPOTENCY_KEY_INVALID")
      }
      assert.strictEqual(yield* times(label), 0)
    })
  )

  it.effect("refuses another request under a known key: body, namespace, path", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      const first = yield* ask({ key }, act(key))
      for (const other of [{ body: "{ }" }, { namespace: "n" }, { path: "/api/acts/2" }]) {
        const { outcome } = yield* ask({ key, ...other }, act(key))
        assert.strictEqual(outcome, "error IDEMPOTENCY_KEY_REUSED")
      }
      assert.strictEqual((yield* ask({ key }, act(key))).text, first.text)
      assert.strictEqual(yield* times(key), 1)
    })
  )

  it.effect("keeps the keys of different credentials apart, also that of none", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      for (const credential of ["aa", "bb", ""]) {
        assert.isFalse((yield* ask({ key, credential }, act(key))).replayed)
        assert.isTrue((yield* ask({ key, credential }, act(key))).replayed)
      }
      assert.strictEqual(yield* times(key), 3)
    })
  )

  it.effect("refuses at once while the same request is running", () =>
    Effect.gen(function* () {
      const { act } = yield* Acts
      const key = fresh()
      const [begun, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const running = yield* Effect.forkChild(
        ask({ key }, (reservation) =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(go)),
            Effect.andThen(act(key)(reservation))
          )
        )
      )
      yield* Deferred.await(begun)
      assert.strictEqual((yield* ask({ key }, act(key))).outcome, "error IDEMPOTENCY_IN_PROGRESS")
      assert.strictEqual((yield* ask({ key, body: "1" }, act(key))).outcome, "error IDEMPOTENCY_KEY_REUSED")
      yield* Deferred.succeed(go, undefined)
      const first = yield* Fiber.join(running)
      assert.deepEqual(yield* ask({ key }, act(key)), { ...first, replayed: true })
    })
  )

  it.effect("executes one of 64 simultaneous requests with one key", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      const all = yield* Effect.forEach(Array.from({ length: 64 }), () => ask({ key }, act(key)), {
        concurrency: 64
      })
      const done = all.filter(({ outcome }) => outcome === "201")
      assert.strictEqual(done.filter(({ replayed }) => !replayed).length, 1)
      assert.strictEqual(new Set(done.map(({ text }) => text)).size, 1)
      for (const { outcome } of all) assert.include(["201", "error IDEMPOTENCY_IN_PROGRESS"], outcome)
      assert.strictEqual(yield* times(key), 1)
    })
  )

  it.effect("stores refusals that would be the same again, in the form they were sent", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const errors = [new BadRequest({}), new BodyInvalid({}), new AlreadyExists({ existing: { id: "7" } })]
      for (const error of errors) {
        for (const wantsProblem of [false, true]) {
          const key = fresh()
          const first = yield* ask({ key, wantsProblem }, () => Effect.fail(error))
          assert.include(first.outcome, error.code)
          assert.strictEqual(
            first.contentType,
            wantsProblem ? "application/problem+json" : "application/json"
          )
          assert.deepEqual(yield* ask({ key }, act(key)), { ...first, replayed: true })
          assert.strictEqual(yield* times(key), 0)
        }
      }
    })
  )

  it.effect("stores a success that had no effects", () =>
    Effect.gen(function* () {
      const key = fresh()
      const first = yield* ask({ key }, () =>
        Effect.succeed({ facts: { label: key, times: 0 }, committed: false })
      )
      const again = yield* ask({ key }, () => Effect.die(new Error("must not run")))
      assert.deepEqual(again, { ...first, replayed: true })
    })
  )

  it.effect("gives the key back after refusals that say nothing of the request, and after faults", () =>
    Effect.gen(function* () {
      const { act, states } = yield* Acts
      const failures = [
        new TokenInvalid({}),
        new NotFound({}),
        new PayloadTooLarge({}),
        new RateLimited({ bucket: "b" }),
        new Unavailable({}),
        new IdempotencyInProgress({})
      ]
      for (const error of failures) {
        const key = fresh()
        const { outcome } = yield* ask({ key }, () => Effect.fail(error))
        assert.strictEqual(outcome, `error ${error.code}`)
        assert.deepEqual(yield* states(key), [])
      }
      const key = fresh()
      const faults = [
        () => Effect.die(new Error("fault")),
        () => {
          throw new Error("fault outside of any effect")
        }
      ]
      for (const fault of faults) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(ask({ key }, fault))))
        assert.deepEqual(yield* states(key), [])
      }
      // also for another request, since nothing is known of this one
      assert.strictEqual((yield* ask({ key, body: "1" }, act(key))).outcome, "201")
    })
  )

  it.effect("gives the key back when the request is interrupted", () =>
    Effect.gen(function* () {
      const { act, states, times } = yield* Acts
      const key = fresh()
      const running = yield* Effect.forkChild(ask({ key }, () => Effect.never))
      yield* eventually(states(key), (found) => found.length === 1)
      yield* Fiber.interrupt(running)
      assert.deepEqual(yield* states(key), [])
      assert.isFalse((yield* ask({ key }, act(key))).replayed)
      assert.strictEqual(yield* times(key), 1)
    })
  )

  it.effect("keeps the outcome of a request that is interrupted after its effects", () =>
    Effect.gen(function* () {
      const { act, times } = yield* Acts
      const key = fresh()
      const committed = yield* Deferred.make<void>()
      const running = yield* Effect.forkChild(
        ask({ key }, (reservation) =>
          act(key)(reservation).pipe(
            Effect.andThen(Deferred.succeed(committed, undefined)),
            Effect.andThen(Effect.never)
          )
        )
      )
      yield* Deferred.await(committed)
      yield* Fiber.interrupt(running)
      assert.deepInclude(yield* ask({ key }, act(key)), {
        replayed: true,
        text: JSON.stringify({ label: key, times: 1 })
      })
      assert.strictEqual(yield* times(key), 1)
    })
  )
})
