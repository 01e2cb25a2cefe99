import { Context, Effect, Layer, Schedule } from "effect"
import { onBackground } from "../db/Db.ts"
import { IdempotencyKeys } from "../idempotency/IdempotencyKeys.ts"
import type { DataUnreadable } from "../identity/ciphertext.ts"
import { Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"
import { CREATE_SCOPE } from "./model.ts"
import { WebhookSecrets } from "./WebhookSecrets.ts"

/**
 * Brings secrets, and the stored answers that show them, under the key that encrypts now, so that a key that was
 * replaced can be taken out of the ring. What cannot be read stays as it is and is reported.
 */
export class SecretRewrap extends Context.Service<
  SecretRewrap,
  {
    /** The count of rows that are under the current key now; repeats find nothing left to do. */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/webhooks/SecretRewrap") {
  static readonly layer = Layer.effect(
    SecretRewrap,
    Effect.gen(function* () {
      const answers = yield* IdempotencyKeys
      const secrets = yield* WebhookSecrets
      let reported = ""

      /** Says it once, and again when it changes. */
      const report = (unreadable: ReadonlyArray<DataUnreadable>) => {
        const reasons = [...new Set(unreadable.map(({ message }) => message))].toSorted().join("; ")
        const text =
          unreadable.length === 0 ? "" : `${unreadable.length} rows with webhook secrets: ${reasons}`
        if (text === reported) return Effect.void
        reported = text
        return text === "" ? Effect.void : Effect.logError(text)
      }

      const runOnce = Effect.gen(function* () {
        yield* secrets.dropExpired
        const passes = [yield* secrets.rewrap, yield* answers.rewrap(CREATE_SCOPE)]
        yield* report(passes.flatMap(({ unreadable }) => unreadable))
        return passes.reduce((sum, { rewrapped }) => sum + rewrapped, 0)
      }).pipe(Effect.withSpan("SecretRewrap.runOnce"))

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const leases = yield* Leases
      const metrics = yield* Metrics
      const { countByKey } = yield* WebhookSecrets
      const { runOnce } = yield* SecretRewrap
      metrics.register(
        Effect.map(countByKey, (counts) => [
          {
            name: `${PREFIX}webhook_secrets`,
            help: "Webhook secrets by the key they are encrypted under: current, other (of the ring), unknown.",
            type: "gauge",
            samples: Object.entries(counts).map(([key, value]) => ({ labels: { key }, value }))
          }
        ])
      )
      const everyMinute = Effect.repeat(
        Effect.andThen(runOnce, succeeded("webhook-secrets")),
        Schedule.spaced("1 minute")
      )
      yield* Effect.forkScoped(onBackground(leases.hold("webhook-secrets", () => everyMinute)))
    })
  )
}
