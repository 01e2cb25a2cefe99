import { Context, Effect, Layer, Metric } from "effect"
import { REFUSALS, type Refusal } from "./tree-guard.ts"

const refusing = Metric.gauge("log_integration_refused", {
  description: "1 while this replica refuses to continue the transparency log, by reason."
})

/** What the jobs of the log report of themselves; what can be read from the database is in `LogGauges`. */
export class LogMetrics extends Context.Service<
  LogMetrics,
  {
    /** Why nothing is signed; undefined when something is. Whether that is news. */
    readonly refused: (reason: Refusal | undefined) => boolean
  }
>()("cp/log/LogMetrics") {
  static readonly layer = Layer.effect(
    LogMetrics,
    Effect.map(Effect.context<never>(), (context) => {
      const byReason = new Map(
        REFUSALS.map((reason) => [reason, Metric.withAttributes(refusing, { reason })])
      )
      let current: Refusal | undefined
      const show = (reason: Refusal | undefined) => {
        for (const [each, gauge] of byReason) gauge.updateUnsafe(each === reason ? 1 : 0, context)
      }
      show(undefined)
      return LogMetrics.of({
        refused: (reason) => {
          const isNews = reason !== current
          current = reason
          if (isNews) show(reason)
          return isNews
        }
      })
    })
  )
}
