import { Context, Effect, Layer, Metric } from "effect"
import { SKIPPED_KINDS } from "./contributions.ts"

const counter = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true })

const skipped = counter(
  "projection_skipped_total",
  "Reported sessions, tokens, delegations and revocations that could not be projected, by kind."
)
const unchecked = counter(
  "artifacts_unchecked_total",
  "Reported tokens whose signature was not checked because one request held too many."
)
const dropped = counter("events_dropped_total", "Reported items that were refused one by one.")
const duplicates = counter("events_duplicate_total", "Reported events that were known already.")
const sanitised = counter(
  "events_sanitized_total",
  "Reported events stored with replaced characters or numbers."
)
const conflicts = counter(
  "event_id_conflicts_total",
  "Reported events whose id was known with other content."
)

/** What befell the items of one report. */
export interface Reported {
  readonly dropped: number
  /** Known before, whatever their content. */
  readonly duplicates: number
  readonly sanitised: number
  /** Known before with other content. */
  readonly conflicts: number
  readonly uncheckedTokens: number
  /** Kind of each session, token, delegation or revocation that could not be projected. */
  readonly skipped: ReadonlyArray<string>
}

/** Counters of ingest; they exist from the start, so that a first increment is seen as one. */
export class IngestMetrics extends Context.Service<
  IngestMetrics,
  { readonly count: (reported: Reported) => void }
>()("cp/events/IngestMetrics") {
  static readonly layer = Layer.effect(
    IngestMetrics,
    Effect.map(Effect.context<never>(), (context) => {
      const count = (reported: Reported) => {
        dropped.updateUnsafe(reported.dropped, context)
        duplicates.updateUnsafe(reported.duplicates, context)
        sanitised.updateUnsafe(reported.sanitised, context)
        conflicts.updateUnsafe(reported.conflicts, context)
        unchecked.updateUnsafe(reported.uncheckedTokens, context)
        for (const kind of reported.skipped) Metric.withAttributes(skipped, { kind }).updateUnsafe(1, context)
      }
      for (const kind of SKIPPED_KINDS) Metric.withAttributes(skipped, { kind }).updateUnsafe(0, context)
      count({ dropped: 0, duplicates: 0, sanitised: 0, conflicts: 0, uncheckedTokens: 0, skipped: [] })
      return { count }
    })
  )
}
