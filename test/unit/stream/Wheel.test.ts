import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Wheel } from "../../../src/stream/Wheel.ts"

describe("a wheel", () => {
  it.effect("visits every item once a period, a part of them at a time", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const visits: Array<number> = []
        const wheel = yield* Wheel.make<number>(2_000_000_000, (item) => void visits.push(item))
        const removals = Array.from({ length: 60 }, (_, item) => wheel.add(item))
        wheel.turn()
        assert.strictEqual(visits.length, 3)
        for (let turn = 1; turn < 20; turn += 1) wheel.turn()
        assert.deepEqual(
          visits.toSorted((a, b) => a - b),
          Array.from({ length: 60 }, (_, item) => item)
        )
        removals[0]?.()
        for (let turn = 0; turn < 20; turn += 1) wheel.turn()
        assert.strictEqual(visits.length, 119)
      })
    )
  )
})
