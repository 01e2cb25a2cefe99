import type { Effect, Scope } from "effect"
import type { Rig } from "./Rig.ts"

export type Unit = "/s" | "ms" | "s" | "MiB"

/** What a figure is held against. */
export type Target =
  /** At least this share of the limit. */
  | { readonly kind: "share"; readonly atLeast: number }
  | { readonly kind: "at least"; readonly value: number }
  | { readonly kind: "at most"; readonly value: number }

/** The physical limit measured beside a figure, in the unit of the figure. */
export interface Limit {
  readonly what: string
  readonly value: number
}

/** One measured figure. */
export interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: Unit
  readonly limit?: Limit
  /** Median of the ratios of the rounds; where there was one round it follows from value and limit. */
  readonly ratio?: number
  readonly target?: Target
  /** What else is to be known: percentiles, counts. */
  readonly detail?: string
}

/** A workload could not be measured, or what came back was wrong. */
export class BenchError extends Error {
  override readonly name = "BenchError"
}

export interface Workload {
  /** `W1` to `W12`. */
  readonly id: string
  readonly title: string
  readonly run: Effect.Effect<ReadonlyArray<Figure>, unknown, Rig | Scope.Scope>
}

/** A workload that was run: its figures, or why there are none. */
export interface Result {
  readonly id: string
  readonly title: string
  readonly seconds: number
  readonly figures: ReadonlyArray<Figure>
  readonly failure?: string
}
