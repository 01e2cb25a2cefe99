import { type Context, Metric } from "effect"
import { entryOf, type WireError } from "../wire/catalogue.ts"

/** What became of a request with a key: label of `idempotency_total`. */
export type OutcomeLabel =
  /** Executed; the outcome is stored. */
  | "stored"
  /** Executed without an outcome worth keeping; the key is free again. */
  | "released"
  | "replayed"
  | "in_progress"
  | "reused"
  /** Reserved after the lease of another request had died; counted besides what becomes of it. */
  | "taken_over"
  /** Paused beyond its lease: another request had taken it over. */
  | "lost"

const labels: ReadonlyArray<OutcomeLabel> = [
  "stored",
  "released",
  "replayed",
  "in_progress",
  "reused",
  "taken_over",
  "lost"
]

const requests = Metric.counter("idempotency_total", {
  description: "Requests with an Idempotency-Key, by what became of them.",
  incremental: true
})

/** Counter of outcomes, with every label at 0 from the start. */
export const counter = (context: Context.Context<never>) => {
  const series = new Map(
    labels.map((outcome) => [outcome, Metric.withAttributes(requests, { outcome })] as const)
  )
  for (const each of series.values()) each.updateUnsafe(0, context)
  return (outcome: OutcomeLabel): void => series.get(outcome)?.updateUnsafe(1, context)
}

/** Refusals that the same request would meet again. The others say something of the moment or of the credential. */
const KEPT: ReadonlySet<number> = new Set([400, 409, 422])

/** Whether a refusal is the outcome of its key (contract §5). */
export const isKept = (error: WireError): boolean =>
  KEPT.has(entryOf(error)?.status ?? 500) &&
  error.code !== "IDEMPOTENCY_IN_PROGRESS" &&
  error.code !== "IDEMPOTENCY_KEY_REUSED"
