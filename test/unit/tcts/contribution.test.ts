import { assert, describe, it } from "@effect/vitest"
import { formatAid } from "../../../src/aitp/aid.ts"
import { mintToken } from "../../../src/aitp/jws.ts"
import { issuerKeyOf } from "../../../src/tcts/contribution.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct, mintVoucher } from "../../support/aitp/mint-tokens.ts"
import { contributionsOf } from "../../support/projections/contributions.ts"

const JTI = "0123abcd-0000-4000-8000-000000000001"
const [issuer, subject] = [makeAgent(), makeAgent()]
const flat = { jti: JTI, iss: "i", sub: "s" }

const bare = {
  jti: JTI,
  issuer: "i",
  issuerKey: "i",
  subject: "s",
  audience: null,
  grants: null,
  bindingCnf: null,
  issuedAt: null,
  expiresAt: null,
  sessionId: null,
  signatureVerified: null,
  tokenSha256: null
}

const tctsOf = (item: object) => contributionsOf({ type: "tct.issued", ...item }).tcts
const tctOf = (claims: object) => tctsOf({ payload: { tct: claims } })[0]

describe("what an event says about TCTs", () => {
  it("finds them where the contract looks, in its order", () => {
    const named = (name: string) => ({ ...flat, sub: name })
    const cases: ReadonlyArray<readonly [object, ReadonlyArray<string>]> = [
      [{ payload: { tcts: [named("1"), named("2")], tct: named("3") } }, ["1", "2"]],
      [{ payload: { tct: named("3") }, tct: named("4") }, ["3"]],
      [{ payload: { x: 1 }, tcts: [named("5")], tct: named("4") }, ["5"]],
      [{ payload: { tcts: "none", tct: 7 }, tct: named("4") }, ["4"]],
      [{ tct: named("6") }, ["6"]],
      [{ tcts: [named("7")] }, ["7"]],
      [{ payload: { tcts: [{ claims: named("8") }, { token: "x.y.z", ...named("9") }] } }, ["8", "9"]]
    ]
    for (const [item, subjects] of cases) {
      assert.deepStrictEqual(
        tctsOf(item).map(({ subject }) => subject),
        subjects,
        JSON.stringify(item)
      )
    }
  })

  it("reads the events that carry TCTs and no others", () => {
    const payload = { tct: flat }
    for (const type of ["tct.issued", "tct.renewal.issued", "handshake.complete", "handshake.completed"]) {
      assert.lengthOf(contributionsOf({ type, sessionId: "s", payload }).tcts, 1, type)
    }
    for (const type of [
      "handshake.started",
      "handshake.failed",
      "tct.revoked",
      "tct.renewed",
      "delegation.issued",
      "x"
    ]) {
      assert.lengthOf(contributionsOf({ type, sessionId: "s", payload }).tcts, 0, type)
    }
  })

  it("reads a token in every form", () => {
    const { claims, token } = mintTct(issuer, subject)
    const expected = {
      jti: claims.jti,
      issuer: issuer.aid,
      issuerKey: issuer.aid,
      subject: subject.aid,
      audience: subject.aid,
      grants: ["demo.echo"],
      bindingCnf: claims.cnf.jkt,
      issuedAt: claims.iat * 1000,
      expiresAt: claims.exp * 1000,
      sessionId: null,
      signatureVerified: true
    }
    for (const form of [
      token,
      { token },
      { token, claims: {} },
      { token, claims },
      { token, claims: null }
    ]) {
      const [tct] = tctsOf({ payload: { tct: form } })
      assert.isString(tct?.tokenSha256)
      assert.deepStrictEqual(
        { ...tct, tokenSha256: null },
        { ...expected, tokenSha256: null },
        JSON.stringify(form)
      )
    }
    assert.lengthOf(tctsOf({ payload: { tcts: [token, { token }] } }), 2)
    assert.lengthOf(tctsOf({ tct: token }), 1)
    assert.lengthOf(tctsOf({ payload: {}, tct: token }), 1)
  })

  it("reads every spelling of every claim, the first that is present", () => {
    assert.deepStrictEqual(tctOf(flat), bare)
    const cases: ReadonlyArray<readonly [object, Partial<typeof bare> | Record<string, unknown>]> = [
      [{ ...flat, jti: JTI.toUpperCase() }, {}],
      [{ jti: JTI, issuer: "i", subject: "s" }, {}],
      [{ jti: JTI, issuer_aid: "i", subject_aid: "s" }, {}],
      [{ jti: JTI, issuerAid: "i", subjectAid: "s" }, {}],
      [{ ...flat, issuer: "j", issuer_aid: "k", issuerAid: "l", subject: "t", subject_aid: "u" }, {}],
      [{ ...flat, iss: "", issuer: "i", sub: 7, subject: "s" }, {}],
      [{ ...flat, aud: "a", audience: "b" }, { audience: "a" }],
      [{ ...flat, audience: "b", audience_aid: "c" }, { audience: "b" }],
      [{ ...flat, audience_aid: "c", audienceAid: "d" }, { audience: "c" }],
      [{ ...flat, audienceAid: "d" }, { audience: "d" }],
      [{ ...flat, aud: ["x"] }, {}],
      [{ ...flat, grants: ["x", "x"] }, { grants: ["x", "x"] }],
      [{ ...flat, grants: [] }, { grants: [] }],
      [{ ...flat, grants: ["x", 1] }, {}],
      [{ ...flat, grants: "x" }, {}],
      [{ ...flat, cnf: { jkt: "k" }, binding: { cnf: "l" } }, { bindingCnf: "k" }],
      [{ ...flat, cnf: "k" }, { bindingCnf: "k" }],
      [{ ...flat, cnf: {}, binding: { cnf: "l" } }, { bindingCnf: "l" }],
      [{ ...flat, binding: "l" }, {}],
      [{ ...flat, iat: 10, issued_at: 20 }, { issuedAt: 10_000 }],
      [{ ...flat, issued_at: 20.5 }, { issuedAt: 20_500 }],
      [{ ...flat, iat: 0 }, { issuedAt: 0 }],
      [{ ...flat, exp: 30, expires_at: 40 }, { expiresAt: 30_000 }],
      [{ ...flat, expires_at: 40 }, { expiresAt: 40_000 }],
      [{ ...flat, exp: 253_402_300_799 }, { expiresAt: 253_402_300_799_000 }],
      // Out of range is absent: milliseconds, times before 1970, text.
      [{ ...flat, iat: 1_700_000_000_000, exp: -1 }, {}],
      [{ ...flat, iat: "10", exp: 253_402_300_800 }, {}],
      [{ ...flat, iat: 1e300, issued_at: 20 }, { issuedAt: 20_000 }]
    ]
    for (const [claims, over] of cases) {
      assert.deepStrictEqual<unknown>(tctOf(claims), { ...bare, ...over }, JSON.stringify(claims))
    }
  })

  it("takes the session from the event", () => {
    assert.strictEqual(
      tctsOf({ sessionId: "s", payload: { tct: { ...flat, sessionId: "t" } } })[0]?.sessionId,
      "s"
    )
  })

  it("counts what lacks an id or a party, and takes the rest", () => {
    const long = "x".repeat(513)
    const unusable = [
      { ...flat, jti: "no uuid" },
      { ...flat, jti: "00000000-0000-0000-0000-000000000000" },
      { jti: JTI, iss: "i" },
      { jti: JTI, sub: "s" },
      { ...flat, iss: long },
      { ...flat, sub: long },
      { ...flat, aud: long },
      "x.y.z",
      7,
      null,
      {},
      []
    ]
    const { skipped, tcts } = contributionsOf({ type: "tct.issued", payload: { tcts: [...unusable, flat] } })
    assert.lengthOf(tcts, 1)
    assert.deepStrictEqual(
      skipped,
      Array.from(unusable, () => "tct")
    )
    assert.strictEqual(tctOf({ ...flat, iss: "😀".repeat(512) })?.issuer.length, 1024)
  })

  it("counts an issue without a TCT, but not a handshake that reports none", () => {
    assert.deepStrictEqual(contributionsOf({ type: "tct.issued", payload: {} }).skipped, ["tct"])
    assert.deepStrictEqual(contributionsOf({ type: "tct.renewal.issued" }).skipped, ["tct"])
    assert.deepStrictEqual(contributionsOf({ type: "handshake.complete", sessionId: "s" }).skipped, [])
  })

  it("takes both spellings of an issuer for one, and a text that is no AID for itself", () => {
    const tagged = formatAid("ed25519", issuer.raw, "ed25519")
    assert.notStrictEqual(tagged, issuer.aid)
    assert.strictEqual(issuerKeyOf(tagged), issuerKeyOf(issuer.aid))
    const p256 = makeAgent({ alg: "p256" })
    assert.strictEqual(issuerKeyOf(p256.aid), p256.aid)
    for (const text of [
      "agent-7",
      `aid:pubkey:${"A".repeat(43)}`,
      `aid:pubkey:ed25519:${"A".repeat(43)}`,
      `${issuer.aid} `
    ]) {
      assert.strictEqual(issuerKeyOf(text), text)
    }
    assert.strictEqual(tctOf({ ...flat, iss: tagged })?.issuer, tagged)
  })
})

describe("whether a signature covers what is said about a TCT", () => {
  const { claims, token } = mintTct(issuer, subject)
  const verifiedOf = (tct: unknown) => tctsOf({ payload: { tct } })[0]?.signatureVerified

  it("is true for the claims that were signed, or fewer of them", () => {
    assert.isTrue(verifiedOf({ token, claims }))
    const { exp: _, ...fewer } = claims
    assert.isTrue(verifiedOf({ token, claims: fewer }))
    assert.isTrue(verifiedOf({ token, claims: { ...claims, unknown: 1 } }))
  })

  it("is false as soon as one differs or was added", () => {
    for (const over of [
      { jti: JTI },
      { sub: issuer.aid },
      { aud: issuer.aid },
      { grants: ["demo.echo", "demo.more"] },
      { cnf: "other" },
      { iat: claims.iat + 1 },
      { exp: claims.exp + 1 }
    ]) {
      assert.isFalse(verifiedOf({ token, claims: { ...claims, ...over } }), JSON.stringify(over))
    }
    const { exp: _, ...unlimited } = claims
    assert.isFalse(verifiedOf({ token: mintToken("aitp-tct+jwt", unlimited, issuer), claims }))
  })

  it("is false for a bad signature, another type of token, and another signer", () => {
    assert.isFalse(verifiedOf({ token: `${token.slice(0, -6)}AAAAAA` }))
    assert.isFalse(verifiedOf({ token: mintToken("aitp-delegation+jwt", claims, issuer) }))
    assert.isFalse(verifiedOf({ token: mintToken("aitp-tct+jwt", claims, subject) }))
    assert.isFalse(verifiedOf({ token: mintVoucher(issuer, subject).token, claims }))
  })

  it("is unknown without a token", () => {
    assert.isNull(verifiedOf(claims))
    assert.isNull(verifiedOf({ token: "x.y.z", claims }))
  })

  it("decides in strict mode what is projected, and in every mode what counts as failed", () => {
    const payload = { tcts: [{ token }, { token, claims: { ...claims, exp: 1 } }, flat] }
    const strict = contributionsOf({ type: "tct.issued", payload }, { verification: "strict" })
    assert.deepStrictEqual(
      [strict.tcts.length, strict.skipped, strict.failed],
      [1, ["unverified", "unverified"], 1]
    )
    for (const verification of ["off", "warn"] as const) {
      const all = contributionsOf({ type: "tct.issued", payload }, { verification })
      assert.deepStrictEqual([all.tcts.length, all.skipped, all.failed], [3, [], 1])
    }
  })
})
