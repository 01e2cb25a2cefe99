import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { Claims } from "../../../src/deliveries/Claims.ts"
import type { AttemptResult } from "../../../src/deliveries/model.ts"
import { Settlement } from "../../../src/deliveries/Settlement.ts"
import { testConfig } from "../../support/TestPlatform.ts"
import { resultOf } from "../../support/webhooks/outbox.ts"

const result = (id: string) =>
  resultOf({
    id,
    webhookId: "w",
    eventId: "e",
    eventType: "tct.revoked",
    body: "{}",
    attempts: 0,
    retriesFrom: 0,
    version: "v",
    slots: 8
  })

const unavailable = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({ cause: new Error("gone"), message: "gone", operation: "query" })
})

/** Settles these results where `write` stands for the database; the calls that were made. */
const settling = (
  results: ReadonlyArray<AttemptResult>,
  write: (ids: ReadonlyArray<string>, call: number) => Effect.Effect<void>
) => {
  const calls: Array<ReadonlyArray<string>> = []
  const claims = Layer.mock(Claims)({
    settle: (_, given) =>
      Effect.suspend(() => {
        const ids = given.map(({ delivery }) => delivery.id)
        calls.push(ids)
        return Effect.as(write(ids, calls.length), [
          { webhookId: "w", settled: ids, was: "closed" as const, state: "closed" as const, slots: null }
        ])
      })
  })
  return Effect.flatMap(Settlement, ({ settle }) => settle("p", results)).pipe(
    Effect.map((states) => ({ calls, settled: states.flatMap(({ settled }) => settled) })),
    Effect.provide(Settlement.layer.pipe(Layer.provide([claims, testConfig()])))
  )
}

describe("settlement", () => {
  it.effect("waits for the database, however long it is away", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        settling([result("a"), result("b")], (_, call) =>
          call < 100 ? Effect.die(unavailable) : Effect.void
        )
      )
      yield* TestClock.adjust("10 minutes")
      const { calls, settled } = yield* Fiber.join(fiber)
      assert.lengthOf(calls, 100)
      assert.deepEqual(settled, ["a", "b"])
    })
  )

  it.effect("writes the others when one result cannot be written", () =>
    Effect.gen(function* () {
      const { settled } = yield* settling([result("a"), result("poison"), result("c")], (ids) =>
        ids.includes("poison") ? Effect.die(new Error("invalid byte sequence")) : Effect.void
      )
      assert.deepEqual(settled, ["a", "c"])
    })
  )
})
