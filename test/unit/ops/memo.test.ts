import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { briefly } from "../../../src/ops/memo.ts"

/** A clock whose wall and monotonic time are set apart from each other. */
const clockOf = (time: { wallMs: number; monotonicMs: number }): Clock.Clock => {
  const nanos = (ms: number) => BigInt(ms) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => time.wallMs,
    currentTimeMillis: Effect.sync(() => time.wallMs),
    currentTimeNanosUnsafe: () => nanos(time.wallMs),
    currentTimeNanos: Effect.sync(() => nanos(time.wallMs)),
    monotonicTimeNanosUnsafe: () => nanos(time.monotonicMs),
    monotonicTimeNanos: Effect.sync(() => nanos(time.monotonicMs)),
    sleep: () => Effect.void
  }
}

describe("what is kept briefly", () => {
  it.effect("is kept no longer when the wall clock was ahead and is set right", () => {
    const time = { wallMs: 1_000_000, monotonicMs: 0 }
    return Effect.gen(function* () {
      let runs = 0
      const kept = briefly(
        Effect.sync(() => (runs += 1)),
        100
      )
      assert.strictEqual(yield* kept, 1)
      time.monotonicMs = 99
      assert.strictEqual(yield* kept, 1)
      time.wallMs = 0
      time.monotonicMs = 100
      assert.strictEqual(yield* kept, 2)
    }).pipe(Effect.provideService(Clock.Clock, clockOf(time)))
  })
})
