import { assert, describe as suite, it } from "@effect/vitest"
import { describe, planOf } from "./schedule.ts"

suite("the schedule of a seed", () => {
  it("is the same each time", () => {
    for (let seed = 0; seed < 50; seed += 1) assert.deepEqual(planOf(seed), planOf(seed))
    assert.notDeepEqual(planOf(1).faults, planOf(2).faults)
  })

  it("has every kind of fault within the seeds that are run for every change", () => {
    const kindsOf = (from: number, to: number) =>
      new Set(
        Array.from({ length: to - from + 1 }, (_, n) =>
          planOf(from + n).faults.map(({ fault }) => fault.kind)
        ).flat()
      )
    assert.sameMembers([...kindsOf(1, 6)], [...kindsOf(1, 500)])
    assert.lengthOf([...kindsOf(1, 500)], 15)
  })

  it("is told with what happens, to whom, and for how long", () => {
    assert.strictEqual(
      describe({ atMs: 1234, fault: { kind: "clock", replica: 1, forMs: 500, byMs: -90_000 } }),
      "  1.23 s  replica 1: clock by -90 s for 0.50 s"
    )
  })
})
