import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { parseJson } from "../../../src/aitp/parse-json.ts"

/** Every character of every string as an escape. */
const escaped = (value: unknown): string => {
  if (typeof value === "string") {
    const units = Array.from({ length: value.length }, (_, at) => value.charCodeAt(at))
    return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("")}"`
  }
  if (Array.isArray(value)) return `[${value.map(escaped).join()}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([name, member]) => `${escaped(name)}:${escaped(member)}`)
    .join()}}`
}

describe("a JSON text", () => {
  it("is read the same, whatever was read before", () => {
    // each pair is misread by the runtime's parser: the second name as the first
    for (const [before, text, name] of [
      ['{"p1":1,"a\\\\":1}', '{"p1":1,"a\\"":1}', 'a"'],
      ['{"p2":1,"to\\\\":1}', '{"p2":1,"to\\u0041":1}', "toA"],
      ['{"p3":[],"\\\\":0}', '{"p3":1,"\\n":2}', "\n"],
      ['{"p4":1,"\u20ac\\\\":1}', '{"p4":1,"\u20ac\\"":1}', '\u20ac"']
    ] as const) {
      parseJson(before)
      JSON.parse(before)
      assert.deepEqual(Object.keys(parseJson(text) as object)[1], name)
      assert.deepEqual(Object.keys((parseJson(`[{"x":${text}}]`) as [{ x: object }])[0].x)[1], name)
    }
  })

  it("has the members, their order and their last values of JSON.parse", () => {
    for (const text of [
      '{"b":1,"\\u0061":{"2":0,"\\u0031":1},"b":2}',
      '{"\\u005f_proto__":{"x":1},"__proto__":2,"constructor\\u0000":[{}]}',
      '{"#0":1,"#1":{"\\"":2}}',
      '{"a:\\"b":"c:\\\\","d":"\\":"}',
      ' [ "\\"" , { "\\\\" : -0.0 } ] '
    ]) {
      assert.strictEqual(JSON.stringify(parseJson(text)), JSON.stringify(JSON.parse(text)), text)
      assert.deepEqual(Object.keys(Object.prototype), [])
    }
    assert.isTrue(Object.hasOwn(parseJson('{"\\u005f_proto__":1}') as object, "__proto__"))
  })

  it("is read as it was written, with every name escaped", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
        assert.strictEqual(JSON.stringify(parseJson(escaped(value))), JSON.stringify(value))
      })
    )
  })

  it("that is none throws, escaped names or not", () => {
    for (const text of [
      "",
      '{"\\u0061":}',
      '{"\\x":1}',
      '{"\\":1}',
      '{"a\\u0061" 1}',
      '"\\"',
      '{"\\n":1,}'
    ]) {
      assert.throws(() => parseJson(text), SyntaxError, undefined, text)
    }
  })

  it("as deep as a body can be does not exhaust the stack", () => {
    const text = `${'{"\\n":'.repeat(5000)}1${"}".repeat(5000)}`
    assert.doesNotThrow(() => parseJson(text))
  })
})
