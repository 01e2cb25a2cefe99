import { Clock, Context, Effect, Layer } from "effect"
import { BackgroundDb, onBackground } from "../db/Db.ts"
import { everyInterval } from "../jobs/loop.ts"

/** Deliveries removed in one statement. */
const BATCH = 1000
const LOOK_EVERY_MS = 5000
/** Shortest rest after a batch; rows that somebody holds just now are tried again after it. */
const MIN_REST_MS = 20

/** Subscriptions that were removed, and whose deliveries must follow. */
export class RemovedWebhooks extends Context.Service<
  RemovedWebhooks,
  {
    /**
     * Removes all deliveries of removed subscriptions, batch by batch, with a rest after each for as long as it took;
     * replicas share the work. The count of deliveries.
     */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/webhooks/RemovedWebhooks") {
  static readonly layer = Layer.effect(
    RemovedWebhooks,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb

      const runOnce = Effect.gen(function* () {
        let total = 0
        for (;;) {
          const startedAt = yield* Clock.currentTimeMillis
          const [row] = yield* sql<{ readonly cleared: number | null }>`
            select clear_removed_webhook_v1(${BATCH}::int) as cleared`
          if (row === undefined || row.cleared === null) return total
          total += row.cleared
          const took = (yield* Clock.currentTimeMillis) - startedAt
          yield* Effect.sleep(Math.max(took, MIN_REST_MS))
        }
      }).pipe(Effect.withSpan("RemovedWebhooks.runOnce"), Effect.orDie)

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* RemovedWebhooks
      yield* everyInterval("clearing of removed webhooks", LOOK_EVERY_MS, runOnce)
    })
  )
}
