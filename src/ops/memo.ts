import { Clock, Effect, Fiber } from "effect"

/**
 * The effect's outcome, kept for `ms`. Callers that come while it runs wait for the same run, and it goes on when the
 * one that started it goes away: for probes, which are public, unlimited, and must not multiply their cost.
 */
export const briefly = <A, E>(effect: Effect.Effect<A, E>, ms: number): Effect.Effect<A, E> => {
  let startedAt = Number.NEGATIVE_INFINITY
  let outcome: Effect.Effect<A, E> = effect
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now - startedAt >= ms) {
      startedAt = now
      outcome = Fiber.join(yield* Effect.forkDetach(effect))
    }
    return yield* outcome
  })
}
