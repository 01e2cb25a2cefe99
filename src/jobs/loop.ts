import { Clock, Duration, Effect, Metric, Random, Schedule } from "effect"

const lastSuccess = Metric.gauge("job_last_success_seconds", {
  description: "When this replica last completed a run of a job, in Unix seconds, by the job's name."
})

/** Notes that a run of the job has succeeded. */
export const succeeded = (job: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    // not `job`, which is what Prometheus calls the scraped service
    Metric.update(Metric.withAttributes(lastSuccess, { name: job }), now / 1000)
  )

/**
 * Runs a job again and again in the background, until the scope closes: first after a random part of the interval, so
 * that replicas started together do not meet, then with the interval between runs. A failed run is logged and does not
 * end the loop.
 * @param intervalMs pause between two runs
 */
export const everyInterval = <A, E, R>(name: string, intervalMs: number, runOnce: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const firstAfter = (yield* Random.next) * intervalMs
    const guarded = Effect.catchCause(Effect.andThen(runOnce, succeeded(name)), (cause) =>
      Effect.logWarning(`${name} failed`, cause)
    )
    yield* Effect.sleep(Duration.millis(firstAfter)).pipe(
      Effect.andThen(Effect.repeat(guarded, Schedule.spaced(Duration.millis(intervalMs)))),
      Effect.annotateLogs({ job: name }),
      Effect.forkScoped
    )
  })
