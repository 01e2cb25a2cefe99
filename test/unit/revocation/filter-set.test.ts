import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { decodeSet } from "../../../src/client/golomb.ts"
import { codedSet } from "../../../src/revocation/filter-set.ts"
import { encodeSet } from "../../../src/revocation/golomb.ts"
import { jtiOf } from "../../support/revocation-feeds/histories.ts"
import { positionOf } from "../../support/revocation-feeds/positions.ts"

const ENTRIES = 100_000
const PROBES = 2 ** 20

const keyOf = (text: string) => createHash("sha256").update(text).digest()

const decoded = (jtis: ReadonlyArray<string>, key: Uint8Array): Float64Array => {
  const values = decodeSet(codedSet(jtis, key), jtis.length, jtis.length * 2 ** 20)
  assert.isDefined(values)
  return values
}

describe("coded set", () => {
  it(
    "holds the place of each of 100,000 ids, and one in 2^20 others looks as if",
    { timeout: 60_000 },
    () => {
      const key = keyOf("rate")
      const jtis = Array.from({ length: ENTRIES }, (_, n) => jtiOf(n))
      const places = new Set(decoded(jtis, key))
      assert.isTrue(jtis.every((jti) => places.has(positionOf(key, jti, ENTRIES))))
      let hits = 0
      for (let n = ENTRIES; n < ENTRIES + PROBES; n += 1) {
        if (places.has(positionOf(key, jtiOf(n), ENTRIES))) hits += 1
      }
      // One hit is expected; more than seven would come once in 100,000 keys. The ids are fixed, so this never flickers.
      assert.isAtMost(hits, 7)
      assert.isAbove(places.size, ENTRIES - 10)
    }
  )

  it("spreads ids evenly, on which its rate of false positives rests", () => {
    const jtis = Array.from({ length: 40_000 }, (_, n) => jtiOf(n))
    const eighth = (jtis.length * 2 ** 20) / 8
    const shares = new Float64Array(8)
    for (const value of decoded(jtis, keyOf("even"))) shares[Math.floor(value / eighth)]! += 1
    // 5000 each, with a standard deviation of 66
    for (const share of shares) assert.closeTo(share, 5000, 330)
  })

  it("is the same for every order of the ids, and another under another key", () => {
    const jtis = Array.from({ length: 1000 }, (_, n) => jtiOf(n))
    const key = keyOf("a")
    assert.deepEqual(codedSet(jtis.toReversed(), key), codedSet(jtis, key))
    const other = new Set(decoded(jtis, keyOf("b")))
    assert.isBelow([...decoded(jtis, key)].filter((value) => other.has(value)).length, 5)
  })

  it("reads back as it was written, equal values and far ones included", () => {
    const value = fc.integer({ min: 0, max: 2 ** 40 })
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 50 }), (values) => {
        const range = values.length * 2 ** 20
        const ascending = Float64Array.from(values, (each) => each % range).sort()
        assert.deepEqual(decodeSet(encodeSet(ascending), ascending.length, range), ascending)
      })
    )
    assert.deepEqual(decodeSet(encodeSet(new Float64Array(0)), 0, 0), new Float64Array(0))
  })

  it("is refused with a wrong count, cut off, prolonged, or with bits behind its end", () => {
    const coded = codedSet(
      Array.from({ length: 9 }, (_, n) => jtiOf(n)),
      keyOf("strict")
    )
    const read = (bytes: Uint8Array, count = 9) => decodeSet(bytes, count, count * 2 ** 20)
    assert.isDefined(read(coded))
    for (const count of [0, 8, 10, 2 ** 40]) assert.isUndefined(read(coded, count), `${count} values`)
    const greatest = read(coded)?.at(-1) ?? 0
    assert.isDefined(decodeSet(coded, 9, greatest + 1))
    assert.isUndefined(decodeSet(coded, 9, greatest))
    assert.isUndefined(read(coded.subarray(0, -1)))
    assert.isUndefined(read(Buffer.concat([coded, Buffer.alloc(1)])))
    const marked = coded.slice()
    marked[marked.length - 1]! |= 1
    assert.isUndefined(read(marked))
    assert.isUndefined(read(new Uint8Array(coded.length).fill(0xff)))
  })
})
