import { assert, describe, it } from "@effect/vitest"
import { Rates } from "../../../scripts/bench/rounds.ts"
import { median, merged, Timings } from "../../../scripts/bench/statistics.ts"

describe("median", () => {
  it("is the middle value whatever the order, and of an even number the upper one", () => {
    assert.strictEqual(median([9, 1, 5]), 5)
    assert.strictEqual(median([10, 9, 2, 1]), 9)
    assert.isNaN(median([]))
  })
})

const of = (...values: ReadonlyArray<number>): Timings => {
  const timings = new Timings()
  for (const value of values) timings.record(value)
  return timings
}

describe("timings", () => {
  it("tell percentiles of all that was recorded, to three digits", () => {
    const summary = of(...Array.from({ length: 1000 }, (_, n) => n + 1)).summary()
    assert.strictEqual(summary.count, 1000)
    assert.closeTo(summary.p50, 500, 1)
    assert.closeTo(summary.p99, 990, 1)
    assert.closeTo(summary.p999, 999, 1)
    assert.strictEqual(summary.max, 1000)
  })

  it("tell fractions of a millisecond apart", () => {
    assert.closeTo(of(0.012, 0.02, 0.5).summary().p50, 0.02, 0.001)
  })

  it("never tell a percentile above the longest", () => {
    const { max, p999 } = of(1234.567).summary()
    assert.isAtMost(p999, max)
  })

  it("are as one when they are merged", () => {
    const summary = merged([of(1, 2), of(3, 100), of()]).summary()
    assert.strictEqual(summary.count, 4)
    assert.closeTo(summary.p50, 2, 0.01)
    assert.strictEqual(summary.max, 100)
  })
})

describe("rates of rounds", () => {
  const rates = new Rates([
    { service: 10, limit: 20 },
    { service: 30, limit: 40 },
    { service: 50, limit: 500 }
  ])

  it("are the median of each side", () => {
    assert.strictEqual(rates.of("service"), 30)
    assert.strictEqual(rates.of("limit"), 40)
  })

  it("compare within a round: a disturbed one does not shift the ratio", () => {
    assert.strictEqual(rates.ratio("service", "limit"), 0.5)
  })
})
