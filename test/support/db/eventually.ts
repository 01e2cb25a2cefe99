import { Effect, Schedule } from "effect"

/** Repeats `look` every 20 ms until it succeeds with what `wanted` accepts. Under `it.live` only: it needs real time. */
export const eventually = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  wanted: (value: A) => boolean = () => true,
  withinMs = 20_000
): Effect.Effect<A, never, R> =>
  look.pipe(
    Effect.filterOrFail(wanted),
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.timeout(withinMs),
    Effect.orDie
  )
