import { Clock, Effect, Fiber } from "effect"

/**
 * The effect's outcome, kept for `ms`. Callers that come while it runs wait for the same run, and it goes on when the
 * one that started it goes away: for probes, which are public, unlimited, and must not multiply their cost.
 */
export const briefly = <A, E>(effect: Effect.Effect<A, E>, ms: number): Effect.Effect<A, E> => {
  // Monotonic: after a wall clock that was ahead is set right, the last outcome would be kept for as long as it was.
  const keptNanos = BigInt(ms) * 1_000_000n
  let startedAt: bigint | undefined
  let outcome: Effect.Effect<A, E> = effect
  return Effect.gen(function* () {
    const now = yield* Clock.monotonicTimeNanos
    if (startedAt === undefined || now - startedAt >= keptNanos) {
      startedAt = now
      outcome = Fiber.join(yield* Effect.forkDetach(effect))
    }
    return yield* outcome
  })
}
