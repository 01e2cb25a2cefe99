import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { clean, mayNeedCleaning } from "../../../src/events/sanitise.ts"

const dirtyText = fc.string({
  unit: fc.constantFrom("a", "\0", "\ud800", "\udc00", "\ud83d\udca1", "\ufffd")
})
const anyJson = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    dirtyText,
    fc.constantFrom(null, true, 0, 1.5, 1e308, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(dirtyText, tie("value"), { maxKeys: 4 })
  )
})).value

describe("cleaning", () => {
  it("replaces NUL and lone surrogates, in member names too, and keeps pairs", () => {
    assert.deepEqual(clean({ "a\0": ["\ud800x", "\udc00\ud83d", "\ud83d\udca1"] }), {
      "a\ufffd": ["\ufffdx", "\ufffd\ufffd", "\ud83d\udca1"]
    })
  })

  it("makes numbers that JSON cannot hold null and keeps all others", () => {
    assert.deepEqual(clean([1 / 0, -1 / 0, 1e308, 0, -1.5]), [null, null, 1e308, 0, -1.5])
  })

  it("keeps the last of members that collide", () => {
    assert.deepEqual(clean({ "\0": 1, "\ud800": 2 }), { "\ufffd": 2 })
  })

  it("keeps __proto__ an ordinary member", () => {
    const cleaned = clean(JSON.parse('{"__proto__":{"x":"\\u0000"}}'))
    assert.strictEqual(JSON.stringify(cleaned), '{"__proto__":{"x":"\ufffd"}}')
    assert.notProperty(cleaned as object, "x")
  })

  it("gives the very value back when there is nothing to clean", () => {
    const value = { a: [1, "x", { b: null }] }
    assert.strictEqual(clean(value), value)
  })

  it("leaves nothing that Postgres, UTF-8 or JSON cannot hold, and is stable", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const once = clean(value)
        const text = JSON.stringify(once)
        assert.isTrue(text.isWellFormed())
        assert.notInclude(text, "\\u0000")
        assert.notMatch(text, /\\ud[89a-f]/)
        assert.deepEqual(JSON.parse(text), once)
        assert.strictEqual(clean(once), once)
      })
    )
  })
})

describe("a body", () => {
  it("may need cleaning whenever its value changes by it", () => {
    const spelled = fc.constantFrom(
      '"\\u0000"',
      '"\\uD800"',
      '"\\udc00"',
      '"\\ud83d\\udca1"',
      "1e400",
      "-1E+400",
      "1e309",
      "1e308",
      "0e999",
      '"plain"',
      '"\\\\u0000"',
      `${"9".repeat(310)}`,
      `0.${"9".repeat(310)}e310`,
      `1${"0".repeat(150)}e200`,
      `1${"0".repeat(280)}e99`,
      "1".repeat(299)
    )
    fc.assert(
      fc.property(fc.array(spelled, { maxLength: 5 }), (parts) => {
        const text = `[${parts.join(",")}]`
        const value: unknown = JSON.parse(text)
        if (clean(value) !== value) assert.isTrue(mayNeedCleaning(text), text)
      })
    )
  })

  it("is known to be clean when it has none of the suspicious spellings", () => {
    for (const text of ["{}", '["é💡"]', "[1e99,1.5,-0]", '{"u0000":"d800"}'])
      assert.isFalse(mayNeedCleaning(text), text)
  })
})
