import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { nextRefreshMs } from "../../../src/trust/refresh-schedule.ts"

const INTERVAL = 900_000

describe("the next refresh", () => {
  it("comes after the interval, and after failures sooner", () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6, 100].map((failures) => nextRefreshMs(INTERVAL, failures, 0))
    assert.deepEqual(pauses, [INTERVAL, 60_000, 120_000, 240_000, 480_000, INTERVAL, INTERVAL, INTERVAL])
  })

  it("never comes later than the interval nor loses more than a tenth to chance", () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 86_400_000 }),
        fc.nat(2000),
        chance,
        (interval, failures, random) => {
          const pause = nextRefreshMs(interval, failures, random)
          const longest = nextRefreshMs(interval, failures, 0)
          assert.isAtMost(pause, longest)
          assert.isAtMost(longest, interval)
          assert.isAtLeast(pause, longest * 0.9 - 1)
          assert.isAbove(pause, 0)
        }
      )
    )
  })
})
