import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { nextPollMs } from "../../../src/issuer-lists/poll-schedule.ts"

const MINUTE = 60_000
const HOUR = 3_600_000

describe("the pause before a list is fetched again", () => {
  it("is the interval, or less when the answer or the list is good for less", () => {
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0 }, 0), MINUTE)
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0, maxAgeSecs: 3600, validForSecs: 3600 }, 0), MINUTE)
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0, maxAgeSecs: 30 }, 0), 30_000)
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0, validForSecs: 50 }, 0), 25_000)
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0, maxAgeSecs: 40, validForSecs: 50 }, 0), 25_000)
  })

  it("is never made short by the issuer", () => {
    assert.strictEqual(nextPollMs(MINUTE, { failures: 0, maxAgeSecs: 0, validForSecs: 1 }, 0), 15_000)
    assert.strictEqual(nextPollMs(5000, { failures: 0, maxAgeSecs: 0 }, 0), 5000)
  })

  it("doubles with every failure up to an hour, from a minute or a shorter interval on", () => {
    const pauses = (interval: number) =>
      [1, 2, 3, 6, 7, 100].map((failures) => nextPollMs(interval, { failures }, 0))
    assert.deepEqual(
      pauses(5 * MINUTE),
      [1, 2, 4, 32, 60, 60].map((minutes) => minutes * MINUTE)
    )
    assert.deepEqual(pauses(1000), [1000, 2000, 4000, 32_000, 64_000, HOUR])
    assert.deepEqual(
      pauses(2 * HOUR),
      [1, 2, 4, 32, 64, 120].map((minutes) => minutes * MINUTE)
    )
  })

  it("is shortened at random by at most a tenth, and never ends", () => {
    const secs = fc.option(fc.nat({ max: 10_000 }), { nil: undefined })
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: HOUR }),
        fc.record({ failures: fc.nat({ max: 2000 }), maxAgeSecs: secs, validForSecs: secs }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (interval, hints, random) => {
          const [full, less] = [nextPollMs(interval, hints, 0), nextPollMs(interval, hints, random)]
          assert.isTrue(full >= 1000 && full <= Math.max(interval, HOUR))
          assert.isTrue(less <= full && less >= Math.floor(full * 0.9))
          if (hints.failures === 0) assert.isAtMost(full, interval)
        }
      )
    )
  })
})
