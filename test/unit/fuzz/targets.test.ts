import { assert, describe, it } from "@effect/vitest"
import { fuzz } from "../../fuzz/fuzz.ts"
import { assertThat, type Target } from "../../fuzz/target.ts"
import { targets } from "../../fuzz/targets.ts"

describe("a short run of the fuzzer", () => {
  for (const target of targets) {
    it(`finds nothing in ${target.name}`, async () => {
      const { executions, finding, outcomes } = await fuzz(target, 1, (count) => count >= 2000)
      assert.isUndefined(finding, JSON.stringify(finding))
      assert.isAtLeast(executions, 2000)
      assert.isAtLeast(outcomes, 3)
    })
  }
})

describe("the fuzzer", () => {
  // Three steps, each of which only an input that took the one before can take.
  const maze = (broken: boolean): Target => ({
    name: "maze",
    seeds: ["start"],
    dictionary: ["<<", ">>", "!!"],
    run: (input) => {
      if (!input.includes("<<")) return "outside"
      if (!input.includes("<<>>")) return "entered"
      assertThat(!broken || !input.includes("<<>>!!"), "the end is not reached")
      return "inside"
    }
  })

  it("finds what several changes are needed for, and shortens it", async () => {
    const { finding } = await fuzz(maze(true), 5, (count) => count >= 100_000)
    assert.strictEqual(finding?.input, "<<>>!!")
    assert.include(finding?.reason, "the end is not reached")
  })

  it("does the same with the same seed, and something else with another", async () => {
    const trace = async (seed: number) => {
      const inputs: Array<string> = []
      const target = maze(false)
      const run = (input: string) => {
        inputs.push(input)
        return target.run(input)
      }
      await fuzz({ ...target, run }, seed, (count) => count >= 500)
      return inputs
    }
    const first = await trace(1)
    assert.deepEqual(await trace(1), first)
    assert.notDeepEqual(await trace(2), first)
  })
})
