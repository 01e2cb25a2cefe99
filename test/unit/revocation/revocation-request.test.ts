import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readRequest, revocationOf } from "../../../src/revocation/request.ts"
import { makeAgent } from "../../support/aitp/agent.ts"

const JTI = "01234567-89ab-4cde-8f01-23456789abcd"
const NOW = Date.parse("2026-05-06T07:08:09.123Z")

const outcome = (body: Readonly<Record<string, unknown>>) => {
  const read = revocationOf(body, NOW)
  return Result.isSuccess(read) ? read.success : read.failure.code
}

describe("a request to revoke", () => {
  it("takes any RFC 9562 UUID in any case and folds it to lower case", () => {
    for (const version of "12345678") {
      for (const variant of "89abAB") {
        const jti = `01234567-89AB-${version}cde-${variant}f01-23456789ABCD`
        assert.deepInclude(outcome({ jti }), { jti: jti.toLowerCase() })
      }
    }
    for (const jti of [
      undefined,
      null,
      7,
      "",
      "x",
      [JTI],
      ` ${JTI}`,
      `${JTI}\n`,
      JTI.replace("4cde", "0cde"),
      JTI.replace("4cde", "9cde"),
      JTI.replace("8f01", "7f01"),
      JTI.replace("8f01", "cf01"),
      JTI.replaceAll("-", ""),
      `{${JTI}}`,
      `urn:uuid:${JTI}`,
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff"
    ]) {
      assert.strictEqual(outcome({ jti }), "JTI_INVALID", String(jti))
    }
  })

  it("counts a reason in code points and takes null and nothing for none", () => {
    for (const reason of [null, undefined])
      assert.deepInclude(outcome({ jti: JTI, reason }), { reason: null })
    for (const reason of ["", "x".repeat(500), "𝄞".repeat(500)]) {
      assert.deepInclude(outcome({ jti: JTI, reason }), { reason })
    }
    for (const reason of ["x".repeat(501), "𝄞".repeat(501), 7, true, {}, ["x"]]) {
      assert.strictEqual(outcome({ jti: JTI, reason }), "BODY_INVALID")
    }
  })

  it("takes a time that Date parses from 1970 to 9999, none later than now, and ignores what is no text", () => {
    const at = (revokedAt: unknown) => {
      const read = outcome({ jti: JTI, revokedAt })
      return typeof read === "string" ? read : read.revokedAt.toISOString()
    }
    const now = new Date(NOW).toISOString()
    assert.strictEqual(at("2026-05-06T07:08:09.122Z"), "2026-05-06T07:08:09.122Z")
    assert.strictEqual(at("2026-05-06"), "2026-05-06T00:00:00.000Z")
    assert.strictEqual(at("6 May 2026 09:00 GMT+0200"), "2026-05-06T07:00:00.000Z")
    assert.strictEqual(at("1970-01-01T00:00:00Z"), "1970-01-01T00:00:00.000Z")
    for (const future of ["2026-05-06T07:08:09.124Z", "9999-12-31T23:59:59.999Z"]) {
      assert.strictEqual(at(future), now)
    }
    for (const other of [undefined, null, 5, -1, true, [], {}]) assert.strictEqual(at(other), now)
    for (const wrong of [
      "",
      "yesterday",
      "1969-12-31T23:59:59.999Z",
      "+010000-01-01T00:00:00Z",
      "2026-13-01"
    ]) {
      assert.strictEqual(at(wrong), "BODY_INVALID", wrong)
    }
  })

  it("takes an AID in either spelling as issuer and nothing else", () => {
    for (const form of ["untagged", "ed25519", "p256"] as const) {
      const { aid } = makeAgent({ form })
      assert.deepInclude(outcome({ jti: JTI, issuer: aid }), { issuer: aid })
    }
    for (const issuer of [null, undefined]) {
      assert.deepInclude(outcome({ jti: JTI, issuer }), { issuer: undefined })
    }
    for (const issuer of ["", "agent-7", 7, [], `aid:pubkey:${"A".repeat(43)}`]) {
      assert.strictEqual(outcome({ jti: JTI, issuer }), "BODY_INVALID")
    }
  })

  it("is a JSON object without NUL; lone surrogates are replaced", () => {
    const read = (text: string) => readRequest(Buffer.from(text))
    for (const text of ["", "null", "[]", "7", "{", '{"reason":"\\u0000"}', '\u{feff}{"a":1}']) {
      assert.isTrue(Result.isFailure(read(text)), text)
    }
    assert.deepEqual(Result.getOrThrow(read('{"reason":"a\\ud800b"}')), { reason: "a\ufffdb" })
  })
})
