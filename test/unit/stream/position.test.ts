import { assert, describe, it } from "@effect/vitest"
import { type Asked, type Extent, parsePosition, startOf } from "../../../src/stream/position.ts"

const extent: Extent = { epoch: "0a0b0c0d", head: 50, oldest: 11 }
const start = (text: string | undefined) => startOf(parsePosition(text), extent, () => 42)

describe("positions", () => {
  it("reads the forms of the contract", () => {
    const cases: ReadonlyArray<readonly [string | undefined, Asked]> = [
      [undefined, { _tag: "nothing" }],
      ["", { _tag: "nothing" }],
      ["earliest", { _tag: "earliest" }],
      ["latest", { _tag: "latest" }],
      ["0a0b0c0d.7", { _tag: "after", epoch: "0a0b0c0d", seq: 7 }],
      ["7", { _tag: "after", epoch: undefined, seq: 7 }],
      ["0", { _tag: "after", epoch: undefined, seq: 0 }]
    ]
    for (const [text, asked] of cases) assert.deepEqual(parsePosition(text), asked, text)
  })

  it("takes nothing else", () => {
    const others = [
      "-1",
      "01",
      "1.5",
      "0A0B0C0D.7",
      "0a0b0c0d.",
      "0a0b0c0.7",
      " 7",
      "7 ",
      "Earliest",
      "9007199254740993"
    ]
    for (const text of others) assert.deepEqual(parsePosition(text), { _tag: "malformed" }, text)
  })

  it("begins where the client asked, or says why it cannot", () => {
    assert.deepEqual(start(undefined), { _tag: "after", seq: 42 })
    assert.deepEqual(start("earliest"), { _tag: "after", seq: 10 })
    assert.deepEqual(start("latest"), { _tag: "after", seq: 50 })
    assert.deepEqual(start("10"), { _tag: "after", seq: 10 })
    assert.deepEqual(start("9"), { _tag: "refused", reason: "expired" })
    assert.deepEqual(start("0a0b0c0d.50"), { _tag: "after", seq: 50 })
    assert.deepEqual(start("0a0b0c0d.51"), { _tag: "ahead", seq: 51 })
    assert.deepEqual(start("00000000.20"), { _tag: "refused", reason: "unknown_epoch" })
    assert.deepEqual(start("x"), { _tag: "refused", reason: "malformed" })
  })
})
