import { Cause, Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { findUnavailable } from "../db/unavailable.ts"
import { type BreakerRules, Claims } from "./Claims.ts"
import type { AttemptResult, EndpointState } from "./model.ts"

/** Pause between two tries while the database cannot be reached, ms. */
const RETRY_MS = 500

/**
 * Writes results down. While the database cannot be reached they wait; a batch that cannot be written is tried again
 * result by result, so that one that cannot be written fails alone: its claim runs out and it is attempted again.
 */
export class Settlement extends Context.Service<
  Settlement,
  {
    readonly settle: (
      process: string,
      results: ReadonlyArray<AttemptResult>
    ) => Effect.Effect<ReadonlyArray<EndpointState>>
  }
>()("cp/deliveries/Settlement") {
  static readonly layer = Layer.effect(
    Settlement,
    Effect.gen(function* () {
      const claims = yield* Claims
      const { webhooks } = yield* AppConfig
      const rules: BreakerRules = {
        threshold: webhooks.breakerFailureThreshold,
        resetMs: webhooks.breakerResetMs,
        slots: webhooks.concurrencyPerEndpoint
      }

      const settle = (
        process: string,
        results: ReadonlyArray<AttemptResult>
      ): Effect.Effect<ReadonlyArray<EndpointState>> =>
        Effect.catchCause(
          Effect.suspend(() => claims.settle(process, results, rules)),
          (cause): Effect.Effect<ReadonlyArray<EndpointState>> => {
            if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
            if (findUnavailable(cause)._tag === "Some")
              return Effect.logWarning("results of webhook deliveries wait for the database", cause).pipe(
                Effect.andThen(Effect.sleep(RETRY_MS)),
                Effect.andThen(settle(process, results))
              )
            if (results.length > 1)
              return Effect.map(
                Effect.forEach(results, (result) => settle(process, [result])),
                (states) => states.flat()
              )
            return Effect.logError("the result of a webhook delivery cannot be written", cause).pipe(
              Effect.annotateLogs("delivery", results[0]?.delivery.id),
              Effect.as([])
            )
          }
        )

      return { settle }
    })
  )
}
