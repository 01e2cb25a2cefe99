import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { earliest, latest } from "../../../src/events/precedence.ts"

const report = fc.record({
  rank: fc.integer({ min: 0, max: 2 }),
  ts: fc.oneof(fc.integer({ min: 0, max: 253_402_300_799_999 }), fc.constantFrom(0, 1, 253_402_300_799_999)),
  id: fc.uuid(),
  index: fc.integer({ min: 0, max: 999_999 })
})

const bytewise = (a: string, b: string) => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)))
const order = (a: number | string, b: number | string) => (a < b ? -1 : a > b ? 1 : 0)

describe("precedence", () => {
  it("sorts by rank, then earliest time, then id, then place", () => {
    fc.assert(
      fc.property(report, report, (a, b) => {
        const expected =
          order(a.rank, b.rank) || order(a.ts, b.ts) || bytewise(a.id, b.id) || order(a.index, b.index)
        assert.strictEqual(
          bytewise(earliest(a.rank, a.ts, a.id, a.index), earliest(b.rank, b.ts, b.id, b.index)),
          expected
        )
      })
    )
  })

  it("sorts by latest time, then rank, then id", () => {
    fc.assert(
      fc.property(report, report, (a, b) => {
        const expected = order(b.ts, a.ts) || order(a.rank, b.rank) || bytewise(a.id, b.id)
        assert.strictEqual(bytewise(latest(a.rank, a.ts, a.id), latest(b.rank, b.ts, b.id)), expected)
      })
    )
  })

  it("has one width, so that SQL finds the time and the id in it", () => {
    const text = earliest(1, Date.UTC(2026, 0, 1), "0123abcd-0000-4000-8000-000000000001", 3)
    assert.strictEqual(text, "1 2026-01-01T00:00:00.000Z 0123abcd-0000-4000-8000-000000000001 000003")
    assert.strictEqual(text.slice(27, 63), "0123abcd-0000-4000-8000-000000000001")
  })
})
