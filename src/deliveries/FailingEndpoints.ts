import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { everyInterval } from "../jobs/loop.ts"
import { Disabling } from "../webhooks/Disabling.ts"
import { Breakers } from "./Breakers.ts"

const LOOK_EVERY_MS = 10_000
/** Subscriptions disabled in one look. */
const BATCH = 100

/** Stops serving subscriptions whose endpoints have only failed for too long. */
export class FailingEndpoints extends Context.Service<
  FailingEndpoints,
  {
    /** Disables those that are due; the count of those it disabled itself. Replicas may do so at once. */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/deliveries/FailingEndpoints") {
  static readonly layer = Layer.effect(
    FailingEndpoints,
    Effect.gen(function* () {
      const breakers = yield* Breakers
      const disabling = yield* Disabling
      const { disableAfterHours } = (yield* AppConfig).webhooks

      const runOnce = Effect.gen(function* () {
        if (disableAfterHours === 0) return 0
        const failing = yield* breakers.listFailing(disableAfterHours, BATCH)
        const disabled = yield* Effect.forEach(failing, (endpoint) => disabling.disable(endpoint, "failing"))
        return disabled.filter(Boolean).length
      }).pipe(Effect.withSpan("FailingEndpoints.runOnce"))

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* FailingEndpoints
      yield* everyInterval("disabling of failing webhooks", LOOK_EVERY_MS, runOnce)
    })
  )
}
