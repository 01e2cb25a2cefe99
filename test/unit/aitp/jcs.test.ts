import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { canonicalJson, JcsError } from "../../../src/aitp/jcs.ts"
import { type Json, readJson } from "../../../src/aitp/json.ts"

const json = fc.jsonValue({ maxDepth: 5, stringUnit: "binary" }) as fc.Arbitrary<Json> // fast-check's own type is wider

/** The same value with the members of every object in another order. */
const shuffled = (value: Json, order: (names: Array<string>) => Array<string>): Json => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((item: Json) => shuffled(item, order))
  const members = value as Readonly<Record<string, Json>> // neither null nor an array
  return Object.fromEntries(
    order(Object.keys(members)).map((name) => [name, shuffled(members[name] ?? null, order)])
  )
}

const units = (text: string) => [...Array(text.length).keys()].map((at) => text.charCodeAt(at))

const namesInOrder = (text: string): ReadonlyArray<string> => {
  // Integer-like names would be reordered by an object, so the order is read off the text.
  return [...text.matchAll(/("(?:[^"\\]|\\.)*"):/g)].map(([, name = ""]) => JSON.parse(name))
}

describe("canonicalJson", () => {
  it("parses back to an equal value, and is its own canonical form", () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value)
        assert.deepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
        assert.strictEqual(canonicalJson(JSON.parse(text)), text)
        assert.strictEqual(canonicalJson(Result.getOrThrow(readJson(text))), text)
      })
    )
  })

  it("does not depend on the order in which members were written", () => {
    fc.assert(
      fc.property(json, fc.boolean(), (value, reverse) => {
        const other = shuffled(value, (names) => (reverse ? names.toReversed() : names.toSorted()))
        assert.strictEqual(canonicalJson(other), canonicalJson(value))
      })
    )
  })

  it("orders names by UTF-16 code units", () => {
    const name = fc.string({ unit: "binary", maxLength: 4 })
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 8 }), (names) => {
        const order = namesInOrder(canonicalJson(Object.fromEntries(names.map((each) => [each, 0]))))
        assert.strictEqual(order.length, names.length)
        for (const [i, after] of order.slice(1).entries()) {
          const before = order[i] ?? ""
          const [a, b] = [units(before), units(after)]
          const differ = a.findIndex((unit, at) => unit !== b[at])
          assert.isTrue(differ === -1 ? a.length < b.length : (a[differ] ?? 0) < (b[differ] ?? -1))
        }
      })
    )
  })

  it("writes no whitespace and tells absent, empty and null apart", () => {
    assert.strictEqual(
      canonicalJson({ b: [1, { d: null, c: "" }], a: true }),
      '{"a":true,"b":[1,{"c":"","d":null}]}'
    )
    const forms = [{}, { e: [] }, { e: {} }, { e: null }].map(canonicalJson)
    assert.strictEqual(new Set(forms).size, 4)
  })

  it("refuses what JSON cannot hold instead of dropping or rewriting it", () => {
    const offences: ReadonlyArray<unknown> = [
      undefined,
      { a: undefined },
      [undefined],
      Array(2),
      NaN,
      [Infinity],
      1n,
      () => 0,
      Symbol("s"),
      "\ud800",
      { "\udfff": 1 },
      new Date(0),
      new Map(),
      { a: Buffer.of(1) }
    ]
    for (const offence of offences) assert.throws(() => canonicalJson(offence), JcsError)
    const cycle: Array<unknown> = []
    cycle.push(cycle)
    assert.throws(() => canonicalJson(cycle), JcsError)
    assert.strictEqual(canonicalJson(Object.create(null)), "{}")
  })
})
