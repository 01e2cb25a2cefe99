import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Jti, parseUuid, SessionId, Uuid } from "../../../src/aitp/ids.ts"

describe("ids", () => {
  const v4 = "550e8400-e29b-41d4-a716-446655440000"

  it("takes lower-case UUID v4 for token and session handles", () => {
    for (const schema of [Jti, SessionId]) {
      assert.isTrue(Schema.is(schema)(v4))
      for (const text of [
        v4.toUpperCase(),
        "550e8400-e29b-11d4-a716-446655440000",
        "550e8400-e29b-41d4-c716-446655440000",
        `${v4}\n`,
        v4.replaceAll("-", ""),
        ""
      ]) {
        assert.isFalse(Schema.is(schema)(text), text)
      }
    }
  })

  it("folds any RFC 9562 UUID to lower case and refuses nil and max", () => {
    for (const version of "12345678") {
      const text = `550E8400-E29B-${version}1D4-A716-446655440000`
      assert.strictEqual(parseUuid(text), text.toLowerCase())
      assert.isFalse(Schema.is(Uuid)(text))
      assert.isTrue(Schema.is(Uuid)(text.toLowerCase()))
    }
    for (const text of [
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "550e8400-e29b-91d4-a716-446655440000",
      `{${v4}}`,
      `urn:uuid:${v4}`,
      ` ${v4}`
    ]) {
      assert.isUndefined(parseUuid(text), text)
    }
  })
})
