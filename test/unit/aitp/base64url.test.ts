import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { decodeBase64url, decodeBase64urlOf, encodeBase64url } from "../../../src/aitp/base64url.ts"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Characters that may follow `head` at the end. */
const lastOf = (head: string) => [...alphabet].filter((last) => decodeBase64url(head + last) !== undefined)

describe("base64url", () => {
  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = encodeBase64url(bytes)
        assert.deepStrictEqual([...(decodeBase64url(text) ?? [])], [...bytes])
        assert.isDefined(decodeBase64urlOf(bytes.length, text))
        assert.isUndefined(decodeBase64urlOf(bytes.length + 1, text))
      })
    )
  })

  it("has one spelling per value: what it decodes, it encodes to the same text", () => {
    const texts = fc.string({
      unit: fc.constantFrom(...alphabet, "+", "/", "=", " ", "\n", "é"),
      maxLength: 9
    })
    let accepted = 0
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = decodeBase64url(text)
        if (bytes === undefined) return
        accepted++
        assert.strictEqual(encodeBase64url(bytes), text)
      }),
      { numRuns: 2000 }
    )
    assert.isAbove(accepted, 100)
  })

  it("accepts exactly the last characters whose unused bits are zero", () => {
    assert.strictEqual(lastOf("A").sort().join(""), "AQgw")
    assert.strictEqual(lastOf("AA").sort().join(""), [..."AEIMQUYcgkosw048"].sort().join(""))
    assert.strictEqual(lastOf("AAA").length, 64)
    assert.deepStrictEqual(lastOf(""), [])
  })

  it("refuses padding, the standard alphabet, whitespace and a trailing newline", () => {
    for (const text of ["AA==", "AAA=", "++++", "////", "AA AA", "AAAA\n", "\nAAAA", "AAAA\0", "ＡAAA"]) {
      assert.isUndefined(decodeBase64url(text), JSON.stringify(text))
    }
    assert.isDefined(decodeBase64url("AAAA"))
  })
})
