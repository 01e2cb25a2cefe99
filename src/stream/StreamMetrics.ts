import { Context, Effect, Layer, Metric } from "effect"
import { RESET_REASONS, type ResetReason } from "./frame.ts"

const open = Metric.gauge("sse_streams_open", { description: "Event streams open on this replica." })
const opened = Metric.counter("sse_streams_opened_total", {
  description: "Event streams opened.",
  incremental: true
})
const rejected = Metric.counter("sse_streams_rejected_total", {
  description: "Event streams refused because as many were open as may be.",
  incremental: true
})
const resets = Metric.counter("sse_resets_total", {
  description: "Reset frames sent, by reason.",
  incremental: true
})
const backlog = Metric.counter("event_backlog_dropped", {
  description: "Stream frames not sendable from memory, which had to be read again or were given up.",
  incremental: true
})
const lag = Metric.gauge("stream_lag_seconds", {
  description:
    "Age of the newest event when it was handed to the streams, or time since the ledger could last be read."
})
const listening = Metric.gauge("listener_up", {
  description: "Whether notifications of the database reach this replica."
})
const heartbeatAge = Metric.gauge("listener_heartbeat_age_seconds", {
  description: "Time since a notification was last seen to come back."
})

/** What streams report of themselves; each call is cheap and synchronous. */
export class StreamMetrics extends Context.Service<
  StreamMetrics,
  {
    readonly open: (streams: number) => void
    readonly opened: () => void
    readonly rejected: () => void
    readonly reset: (reason: ResetReason) => void
    readonly dropped: (frames: number) => void
    readonly lag: (seconds: number) => void
    readonly listening: (up: boolean) => void
    readonly heartbeatAge: (seconds: number) => void
  }
>()("cp/stream/StreamMetrics") {
  static readonly layer = Layer.effect(
    StreamMetrics,
    Effect.map(Effect.context<never>(), (context) => {
      const byReason = new Map(
        RESET_REASONS.map((reason) => [reason, Metric.withAttributes(resets, { reason })])
      )
      for (const gauge of [open, lag, listening, heartbeatAge]) gauge.updateUnsafe(0, context)
      for (const counter of [opened, rejected, backlog, ...byReason.values()])
        counter.updateUnsafe(0, context)
      return StreamMetrics.of({
        open: (streams) => open.updateUnsafe(streams, context),
        opened: () => opened.updateUnsafe(1, context),
        rejected: () => rejected.updateUnsafe(1, context),
        reset: (reason) => byReason.get(reason)?.updateUnsafe(1, context),
        dropped: (frames) => backlog.updateUnsafe(frames, context),
        lag: (seconds) => lag.updateUnsafe(seconds, context),
        listening: (up) => listening.updateUnsafe(up ? 1 : 0, context),
        heartbeatAge: (seconds) => heartbeatAge.updateUnsafe(seconds, context)
      })
    })
  )
}
