import { build, type Histogram } from "hdr-histogram-js"

/** The middle value; of an even number the upper of the two. NaN of none. */
export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** What is told of many durations, all in ms. */
export interface Summary {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

const US_PER_MS = 1000
/** Longest duration that is told apart, 60 s; longer ones count as this long. */
const LONGEST_US = 60_000_000

/** All durations of a measurement in one histogram, in steps of 1 µs, to three digits above 1 ms. */
export class Timings {
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3
  })
  #max = 0

  /** @param ms at least 0 */
  record(ms: number): void {
    this.#histogram.recordValue(Math.min(LONGEST_US, Math.max(0, Math.round(ms * US_PER_MS))))
    this.#max = Math.max(this.#max, ms)
  }

  /** Adds what others have recorded. */
  add(other: Timings): this {
    this.#histogram.add(other.#histogram)
    this.#max = Math.max(this.#max, other.#max)
    return this
  }

  summary(): Summary {
    const at = (percentile: number) =>
      Math.min(this.#histogram.getValueAtPercentile(percentile) / US_PER_MS, this.#max)
    return {
      count: this.#histogram.totalCount,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#max
    }
  }
}

/** All of several measurements as one. */
export const merged = (all: ReadonlyArray<Timings>): Timings => {
  const sum = new Timings()
  for (const each of all) sum.add(each)
  return sum
}
