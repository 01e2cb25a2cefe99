import { Duration, Effect, Random, Schedule } from "effect"

/**
 * Runs a job again and again in the background, until the scope closes: first after a random part of the interval, so
 * that replicas started together do not meet, then with the interval between runs. A failed run is logged and does not
 * end the loop.
 * @param intervalMs pause between two runs
 */
export const everyInterval = <A, E, R>(name: string, intervalMs: number, runOnce: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const firstAfter = (yield* Random.next) * intervalMs
    const guarded = Effect.catchCause(runOnce, (cause) => Effect.logWarning(`${name} failed`, cause))
    yield* Effect.sleep(Duration.millis(firstAfter)).pipe(
      Effect.andThen(Effect.repeat(guarded, Schedule.spaced(Duration.millis(intervalMs)))),
      Effect.annotateLogs({ job: name }),
      Effect.forkScoped
    )
  })
