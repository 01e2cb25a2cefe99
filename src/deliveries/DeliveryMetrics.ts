import { Context, Effect, Layer, Metric } from "effect"
import { type Ending, ENDINGS } from "./outcome.ts"

const attempts = Metric.counter("webhook_attempts_total", {
  description:
    "Attempts to deliver, by how they ended: delivered, rejected (an answer other than 2xx), unanswered, refused (the target is not allowed), unsigned (its secret cannot be read).",
  incremental: true
})
const duration = Metric.histogram("webhook_attempt_duration_seconds", {
  description: "Time from the beginning of an attempt to the end of its answer.",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

/** What attempts report of themselves; each call is cheap and synchronous. */
export class DeliveryMetrics extends Context.Service<
  DeliveryMetrics,
  { readonly attempted: (ending: Ending, durationMs: number) => void }
>()("cp/deliveries/DeliveryMetrics") {
  static readonly layer = Layer.effect(
    DeliveryMetrics,
    Effect.map(Effect.context<never>(), (context) => {
      const byEnding = new Map(
        ENDINGS.map((outcome) => [outcome, Metric.withAttributes(attempts, { outcome })])
      )
      for (const counter of byEnding.values()) counter.updateUnsafe(0, context)
      duration.valueUnsafe(context) // registers it, so that it is shown before the first attempt
      return DeliveryMetrics.of({
        attempted: (ending, durationMs) => {
          byEnding.get(ending)?.updateUnsafe(1, context)
          duration.updateUnsafe(durationMs / 1000, context)
        }
      })
    })
  )
}
