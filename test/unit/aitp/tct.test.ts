import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { keyOfAid, spellingsOf } from "../../../src/aitp/aid.ts"
import { verifyTct, type VerifyTctOptions } from "../../../src/aitp/tct.ts"
import { verifyVoucher } from "../../../src/aitp/voucher.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct, mintVoucher } from "../../support/aitp/mint-tokens.ts"

const now = 1711900100
const issuer = makeAgent()
const subject = makeAgent({ alg: "p256" })

const times = { iat: now, exp: now + 60 }

const codeOf = (token: string, options: Partial<VerifyTctOptions> = {}) =>
  Result.match(verifyTct(token, { now, audience: subject.aid, ...options }), {
    onFailure: ({ code }) => code,
    onSuccess: () => "ok"
  })

const code = (overrides: object, options: Partial<VerifyTctOptions> = {}) =>
  codeOf(mintTct(issuer, subject, { ...times, ...overrides }).token, options)

describe("verifyTct", () => {
  it("accepts a good token at its audience only", () => {
    assert.strictEqual(code({}), "ok")
    assert.strictEqual(code({}, { audience: issuer.aid }), "AUDIENCE_MISMATCH")
    const ed = makeAgent()
    const token = mintTct(issuer, ed, times).token
    for (const audience of spellingsOf(ed.aid)) assert.strictEqual(codeOf(token, { audience }), "ok")
  })

  it("folds structural defects into TCT_SIGNATURE_INVALID and reports the rest in order", () => {
    const rows: ReadonlyArray<readonly [object, string]> = [
      [{ ver: "aitp/0.1", surplus: 1 }, "UNKNOWN_VERSION"],
      [{ ver: 2 }, "TCT_SIGNATURE_INVALID"],
      [{ surplus: 1, exp: 1 }, "UNKNOWN_FIELD"],
      [{ surplus: 1, grants: [] }, "TCT_SIGNATURE_INVALID"],
      [{ cnf: { jkt: keyOfAid(subject.aid).thumbprint, jwk: {} } }, "UNKNOWN_FIELD"],
      [{ cnf: { jkt: keyOfAid(issuer.aid).thumbprint } }, "TCT_SIGNATURE_INVALID"],
      [{ iat: now + 0.5 }, "TCT_SIGNATURE_INVALID"],
      [{ exp: (now + 60) * 1000 }, "ok"],
      [{ exp: String(now + 60) }, "TCT_SIGNATURE_INVALID"],
      [{ grants: ["a", "a"] }, "TCT_SIGNATURE_INVALID"],
      [{ sub: "x" }, "TCT_SIGNATURE_INVALID"],
      [{ aud: issuer.aid, exp: 1 }, "AUDIENCE_MISMATCH"],
      [{ sub: issuer.aid, cnf: { jkt: keyOfAid(issuer.aid).thumbprint } }, "AUDIENCE_MISMATCH"],
      [{ exp: now }, "TCT_EXPIRED"],
      [{ exp: now + 1 }, "ok"],
      [{ ext: { anything: [] } }, "ok"],
      [{ ext: "x" }, "TCT_SIGNATURE_INVALID"]
    ]
    for (const [overrides, expected] of rows)
      assert.strictEqual(code(overrides), expected, JSON.stringify(overrides))
  })

  it("does not let one kind of token pass for another", () => {
    const voucher = mintVoucher(issuer, subject, times).token
    assert.strictEqual(codeOf(voucher), "TOKEN_TYP_MISMATCH")
    const tct = mintTct(issuer, subject, times).token
    const refused = Result.getOrThrow(Result.flip(verifyVoucher(tct, { now, self: issuer.aid })))
    assert.strictEqual(refused.code, "DELEGATION_INVALID_VOUCHER")
  })

  it("holds exp against the issuer's Manifest when that is known", () => {
    assert.strictEqual(code({}, { issuerManifestExpiresAt: now + 60 }), "ok")
    assert.strictEqual(code({}, { issuerManifestExpiresAt: now + 59 }), "TCT_EXPIRES_AFTER_MANIFEST")
  })

  it("asks about revocation once, last, and with the token's own issuer and handle", () => {
    const asked: Array<unknown> = []
    const isRevoked = (...question: ReadonlyArray<unknown>) => asked.push(question) > 0
    for (const bad of [{ exp: now }, { aud: issuer.aid }, { surplus: 1 }, { cnf: { jkt: "x" } }]) {
      assert.notStrictEqual(code(bad, { isRevoked }), "TCT_REVOKED")
    }
    assert.deepStrictEqual(asked, [])
    const { claims, token } = mintTct(issuer, subject, times)
    assert.strictEqual(codeOf(token, { isRevoked }), "TCT_REVOKED")
    assert.deepStrictEqual(asked, [[issuer.aid, claims.jti]])
  })
})

describe("verifyVoucher", () => {
  it("is for the issuer alone and ends with exp", () => {
    const { token } = mintVoucher(issuer, subject, times)
    const verdict = (self: typeof issuer.aid, at: number) =>
      Result.match(verifyVoucher(token, { now: at, self }), {
        onFailure: ({ code }) => code,
        onSuccess: () => "ok"
      })
    for (const self of spellingsOf(issuer.aid)) assert.strictEqual(verdict(self, now), "ok")
    assert.strictEqual(verdict(subject.aid, now), "DELEGATION_INVALID_VOUCHER")
    assert.strictEqual(verdict(issuer.aid, now + 60), "DELEGATION_EXPIRED")
  })
})
