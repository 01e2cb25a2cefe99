import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { type JsonOffence, JsonRefused, readJson } from "../../../src/aitp/json.ts"

const offenceOf = (input: string | Uint8Array, maxDepth?: number): JsonOffence | "none" => {
  const read = readJson(input, maxDepth === undefined ? {} : { maxDepth })
  return Result.isFailure(read) ? read.failure.offence : "none"
}

const messageOf = (input: string) => {
  const refused = Result.getOrThrow(Result.flip(readJson(input)))
  assert.instanceOf(refused, JsonRefused)
  return refused.message
}

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)

/** Milliseconds, best of five. */
const fastest = (text: string) => {
  let best = Infinity
  for (let run = 0; run < 5; run++) {
    const start = performance.now()
    readJson(text)
    best = Math.min(best, performance.now() - start)
  }
  return best
}

describe("readJson", () => {
  it("reads what JSON.stringify writes, from text and from bytes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value)
        const expected: unknown = JSON.parse(text)
        assert.deepStrictEqual(Result.getOrThrow(readJson(text)), expected)
        assert.deepStrictEqual(Result.getOrThrow(readJson(Buffer.from(text))), expected)
      })
    )
  })

  it("refuses a document as soon as one member is repeated anywhere, and only then", () => {
    // Objects as lists of members with names from a small set, so that both outcomes are common.
    const names = fc.constantFrom("a", "b", "c", "\\u0061", 'a\\"b', "", "__proto__", "1", ":", "{")
    const { node } = fc.letrec<{ node: string; object: string; array: string; leaf: string }>((tie) => ({
      leaf: fc.constantFrom("1", '"x"', '":"', '"\\\\"', '"\\""', "null"),
      array: fc.array(tie("node"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
      object: fc
        .array(fc.tuple(names, tie("node")), { maxLength: 4 })
        .map((members) => `{${members.map(([name, value]) => `"${name}" : ${value}`).join(",")}}`),
      node: fc.oneof({ depthSize: "small" }, tie("leaf"), tie("array"), tie("object"))
    }))
    const seen = { none: 0, duplicate_name: 0 }
    fc.assert(
      fc.property(node, (text) => {
        const expected = repeatsName(text) ? "duplicate_name" : "none"
        seen[expected]++
        assert.strictEqual(offenceOf(text, 100), expected, text)
      }),
      { numRuns: 2000 }
    )
    assert.isAbove(seen.none, 100)
    assert.isAbove(seen.duplicate_name, 100)
  })

  it("names the repeated member and its place", () => {
    assert.strictEqual(
      messageOf('{"a":{"grants":1,"b":[{}],"gr\\u0061nts":2}}'),
      'duplicate member name "grants" at offset 26'
    )
    assert.isBelow(messageOf(`{"${"n".repeat(5000)}":1,"${"n".repeat(5000)}":1}`).length, 200)
  })

  it("keeps __proto__ an ordinary member and leaves prototypes alone", () => {
    const value = Result.getOrThrow(
      readJson('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}')
    )
    assert.deepStrictEqual(Object.keys(value ?? {}), ["__proto__", "constructor"])
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
    assert.isFalse("polluted" in {})
    assert.strictEqual(offenceOf('{"__proto__":1,"__proto__":1}'), "duplicate_name")
  })

  it("counts depth in containers", () => {
    assert.strictEqual(offenceOf(nested(32)), "none")
    assert.strictEqual(offenceOf(nested(33)), "depth")
    assert.strictEqual(offenceOf('{"a":{"b":[1]}}', 3), "none")
    assert.strictEqual(offenceOf('{"a":{"b":[1]}}', 2), "depth")
    assert.strictEqual(offenceOf("1", 0), "none")
    assert.strictEqual(offenceOf("[]", 0), "depth")
  })

  it("survives a million open brackets, closed or not", () => {
    for (const limit of [32, 1_000_000]) {
      assert.strictEqual(offenceOf(nested(1_000_000), limit), "depth")
      assert.strictEqual(offenceOf("[".repeat(1_000_000), limit), "syntax")
      assert.strictEqual(offenceOf('{"a":'.repeat(1_000_000), limit), "syntax")
      assert.strictEqual(offenceOf(`${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_000)}`, limit), "depth")
    }
  })

  it("refuses a byte order mark, invalid UTF-8 and UTF-16", () => {
    assert.strictEqual(offenceOf("\uFEFF{}"), "bom")
    assert.strictEqual(offenceOf(Buffer.from("\uFEFF{}")), "bom")
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0xaf, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xe2, 0x82]
    ]) {
      assert.strictEqual(offenceOf(Uint8Array.from(bytes)), "utf8")
    }
    assert.strictEqual(offenceOf(Buffer.from("{}", "utf16le")), "syntax")
    assert.strictEqual(offenceOf(new Uint8Array()), "syntax")
  })

  it("refuses lone surrogates in names and values, raw and escaped, and keeps pairs", () => {
    for (const text of [
      '"\\ud800"',
      '"\\uDC00"',
      '"\\udc00\\ud800"',
      '{"\\ud83d":1}',
      '"\ud800"',
      '["x\\uD83D"]'
    ]) {
      assert.strictEqual(offenceOf(text), "lone_surrogate", text)
    }
    for (const text of ['"\\ud83d\\ude00"', '"😀"', '"\\\\ud800"', '{"\\uD83D\\uDE00":1}']) {
      assert.strictEqual(offenceOf(text), "none", text)
    }
  })

  it("refuses numbers beyond a double and takes the nearest double for the rest", () => {
    for (const text of ["1e400", "-1e400", "[1e309]", '{"a":9e999}'])
      assert.strictEqual(offenceOf(text), "number_range", text)
    assert.strictEqual(Result.getOrThrow(readJson("9007199254740993")), 9007199254740992)
    assert.strictEqual(Result.getOrThrow(readJson("1e-400")), 0)
  })

  it("takes time in proportion to the text for hostile shapes", () => {
    // Compares a size with eight times that size: quadratic work would show as a factor of 64.
    const shapes: Record<string, (n: number) => string> = {
      "many names": (n) => `{${Array.from({ length: n }, (_, i) => `"k${i}":1`).join(",")}}`,
      "many numeric names": (n) => `{${Array.from({ length: n }, (_, i) => `"${i * 4096}":1`).join(",")}}`,
      "one name repeated": (n) => `{${Array.from({ length: n }, () => '"a":1').join(",")}}`,
      "last name repeated": (n) => `{${Array.from({ length: n }, (_, i) => `"k${i}":1`).join(",")},"k0":1}`,
      backslashes: (n) => JSON.stringify("\\".repeat(n * 5)),
      "escaped quotes": (n) => JSON.stringify('"'.repeat(n * 5)),
      colons: (n) => JSON.stringify(":".repeat(n * 5))
    }
    for (const [name, shape] of Object.entries(shapes)) {
      const small = fastest(shape(12_500))
      const large = fastest(shape(100_000))
      assert.isBelow(large, Math.max(small, 0.5) * 40, name)
      assert.isBelow(large, 2000, name)
    }
  })
})

/** A slow reference: true when any object of a valid text repeats a name. */
const repeatsName = (text: string): boolean => {
  const stack: Array<Set<string>> = []
  let repeated = false
  let last = ""
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === "{" || token === "[") stack.push(new Set())
    else if (token === "}" || token === "]") stack.pop()
    else if (token !== ":") last = JSON.parse(token)
    else {
      if (stack.at(-1)?.has(last) === true) repeated = true
      stack.at(-1)?.add(last)
    }
  }
  return repeated
}
