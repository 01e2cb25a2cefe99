import { assert, describe, it } from "@effect/vitest"
import { normaliseBatch } from "../../../src/events/normalise.ts"
import { MAX_VERIFIED } from "../../../src/events/tokens.ts"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintDelegation, mintTct, mintVoucher } from "../../support/aitp/mint-tokens.ts"
import { readItems } from "../../support/projections/ledger.ts"

const [issuer, subject, third] = [makeAgent(), makeAgent(), makeAgent()]
const { claims, token } = mintTct(issuer, subject)

const standInOf = (text: string) => `jws:sha256:${encodeBase64url(sha256(text))}`
const standIn = standInOf(token)

/** The one event of a report, as it would be stored. */
const stored = (item: object, policy?: Parameters<typeof readItems>[1]) => {
  const { events } = readItems([{ id: "11111111-1111-4111-8111-111111111111", ...item }], policy)
  const [event] = events
  if (event === undefined) throw new Error("dropped")
  const { content: _, contributions, ...rest } = event
  return {
    event,
    payload: JSON.parse(event.payload) as Record<string, unknown>,
    artifacts:
      event.artifacts === null
        ? null
        : (JSON.parse(event.artifacts) as ReadonlyArray<Record<string, unknown>>),
    /** Everything that leaves the process, as one text. */
    text: JSON.stringify([rest, contributions])
  }
}

const base64url = (value: unknown) =>
  encodeBase64url(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)))

describe("token redaction", () => {
  it("puts a stand-in for a token and says what was learnt from it", () => {
    const { artifacts, payload } = stored({ type: "t", payload: { tct: { token, claims: { a: 1 } } } })
    assert.deepStrictEqual(payload, { tct: { token: standIn, claims: { a: 1 } } })
    assert.deepStrictEqual(artifacts, [
      {
        path: "/payload/tct/token",
        typ: "aitp-tct+jwt",
        sha256: standIn.slice("jws:sha256:".length),
        jti: claims.jti,
        issuer: issuer.aid,
        signatureVerified: true
      }
    ])
  })

  it("leaves an event without tokens as it is", () => {
    const { artifacts, event } = stored({ type: "t", payload: { b: [1, "x.y.z"], a: null } })
    assert.strictEqual(event.payload, '{"b":[1,"x.y.z"],"a":null}')
    assert.isNull(artifacts)
  })

  it("keeps strings that only look like tokens", () => {
    const lookalikes = [
      "x.y.z",
      "api.example.com",
      "1.2.3",
      `${base64url("plain text, twelve")}.e30.AA`,
      `${base64url({ kid: "no alg, no typ" })}.e30.AA`,
      `${base64url([1, 2, 3, "alg", "typ"])}.e30.AA`,
      `${base64url({ alg: "EdDSA", typ: "t" })}.e30`,
      `${base64url({ alg: "none", typ: "t" })}.e30.`
    ]
    assert.deepStrictEqual(stored({ type: "t", payload: { lookalikes } }).payload, { lookalikes })
  })

  it("recognises tokens of any header that has alg or typ, however it is spelled", () => {
    for (const header of [
      '{"alg":"x"}',
      '{"typ":1}',
      ' { "alg" : "x" }',
      '\n\t{"kid":"a","typ":"b"}',
      '\r\n{"alg":0}'
    ]) {
      const text = `${base64url(header)}.${base64url("not json")}.sig`
      assert.deepStrictEqual(
        stored({ type: "t", payload: { text } }).payload,
        { text: standInOf(text) },
        header
      )
    }
  })

  it("replaces tokens inside longer texts, in lists and in member names", () => {
    const { artifacts, payload } = stored({
      type: "t",
      payload: {
        header: `Bearer ${token}`,
        list: [[token]],
        url: `https://a.example/cb?t=${token}&x=1`,
        [token]: 1
      }
    })
    assert.deepStrictEqual(payload, {
      header: `Bearer ${standIn}`,
      list: [[standIn]],
      url: `https://a.example/cb?t=${standIn}&x=1`,
      [standIn]: 1
    })
    assert.deepStrictEqual(
      artifacts?.map(({ path }) => path),
      ["/payload/header", "/payload/list/0/0", "/payload/url"]
    )
  })

  it("leaves no token anywhere in what is stored, flat events and envelope members included", () => {
    const short = `${base64url({ typ: "t" })}.${base64url({ iss: "i" })}.c2ln`
    const members = {
      type: short,
      source: short,
      aidA: short,
      initiator: short,
      aid_b: short,
      sessionId: short,
      session_id: short,
      run_id: short,
      namespace: short,
      grants: ["a.b", token],
      capability: token,
      boundary: token,
      error: token,
      reason: token,
      tct: token,
      peer_aid: token
    }
    const secret = (text: string) => text.includes(token) || text.includes(short)
    for (const type of [
      "handshake.failed",
      "handshake.complete",
      "tct.issued",
      "delegation.issued",
      "tct.revoked",
      short
    ]) {
      const item = {
        ...members,
        type,
        sessionId: short,
        jti: claims.jti,
        parent_jti: claims.jti,
        delegator: token,
        delegatee: token
      }
      for (const each of [
        item,
        { ...item, payload: item },
        { type, payload: { tct: { jti: claims.jti, iss: token, sub: token, sessionId: short } } }
      ]) {
        assert.isFalse(secret(stored(each).text), type)
      }
    }
  })

  it("decodes the claims of a wrapper that has none, without the tokens in them", () => {
    const voucher = mintVoucher(issuer, subject)
    const delegation = mintDelegation(issuer, subject, third, { voucher: voucher.token })
    for (const wrapper of [{ token: delegation.token }, { token: delegation.token, claims: {} }]) {
      const { artifacts, payload, text } = stored({ type: "delegation.issued", payload: { tct: wrapper } })
      assert.deepStrictEqual(payload, {
        tct: {
          token: standInOf(delegation.token),
          claims: { ...delegation.claims, voucher: standInOf(voucher.token) }
        }
      })
      assert.isFalse(text.includes(voucher.token))
      assert.deepStrictEqual(
        artifacts?.map(({ path, signatureVerified, typ }) => [path, typ, signatureVerified]),
        [
          ["/payload/tct/token", "aitp-delegation+jwt", true],
          ["/payload/tct/claims/voucher", "aitp-grant+jwt", true]
        ]
      )
    }
  })

  it("does not touch the claims a wrapper brings, nor objects without a token", () => {
    for (const wrapper of [
      { token, claims: { own: true } },
      { claims: {} },
      { token: "no token", claims: {} },
      { token, claims: null }
    ]) {
      assert.deepStrictEqual(
        stored({ type: "t", payload: { wrapper } }).payload["wrapper"],
        "token" in wrapper && wrapper.token === token ? { ...wrapper, token: standIn } : wrapper
      )
    }
  })

  it("cleans what it decodes", () => {
    const dirty = `${base64url({ typ: "t" })}.${base64url('{"nul":"a\\u0000b"}')}.c2ln`
    assert.deepStrictEqual(stored({ type: "t", payload: { token: dirty } }).payload, {
      token: standInOf(dirty),
      claims: { nul: "a\uFFFDb" }
    })
  })

  it("takes nothing from a stand-in that a reporter wrote itself", () => {
    const { artifacts, event } = stored({ type: "tct.issued", payload: { tct: { token: standIn } } })
    assert.isNull(artifacts)
    assert.deepStrictEqual(event.contributions?.tcts, [])
  })

  it("gives the same id and content whatever becomes of the tokens", () => {
    const item = { type: "t", ts: 1_700_000_000, payload: { token } }
    const [on, off] = [readItems([item]).events[0], readItems([item], { redact: false }).events[0]]
    assert.strictEqual(on?.id, off?.id)
    assert.strictEqual(on?.content, off?.content)
  })

  it("stores what was sent when it is switched off, and projects all the same", () => {
    const { artifacts, event, payload } = stored(
      { type: "tct.issued", payload: { tct: { token } } },
      { redact: false }
    )
    assert.deepStrictEqual(payload, { tct: { token } })
    assert.isNull(artifacts)
    assert.strictEqual(event.contributions?.tcts[0]?.jti, claims.jti)
    assert.isFalse(JSON.stringify(event.contributions).includes(token))
  })

  it("says of a token whose signature does not verify that it does not, and still replaces it", () => {
    const forged = `${token.slice(0, -6)}AAAAAA`
    const { artifacts, payload } = stored({ type: "t", payload: { forged } })
    assert.deepStrictEqual(payload, { forged: standInOf(forged) })
    assert.strictEqual(artifacts?.[0]?.["signatureVerified"], false)
  })

  it("checks the signatures of 64 tokens of a request, reported ones before those inside others", () => {
    const delegations = Array.from(
      { length: MAX_VERIFIED },
      () => mintDelegation(issuer, subject, third).token
    )
    const batch = readItems([...delegations, token].map((each) => ({ type: "t", payload: { token: each } })))
    const listed = batch.events.map(
      ({ artifacts }) => JSON.parse(artifacts ?? "[]") as ReadonlyArray<Record<string, unknown>>
    )
    assert.deepStrictEqual(
      listed.map((each) => each.map(({ signatureVerified }) => signatureVerified)),
      [...Array.from({ length: MAX_VERIFIED }, () => [true, null]), [null]]
    )
    assert.strictEqual(batch.uncheckedTokens, MAX_VERIFIED + 1)
  })

  it("leaves added claims out when they would make the payload more than twice as large as it may be", () => {
    const filler = "x".repeat(1500)
    const payload = { filler, tct: { token } }
    const maxPayloadBytes = 2000
    const limit = Math.ceil((JSON.stringify({ filler, tct: { token: standIn } }).length + 10) / 2)
    assert.deepStrictEqual(stored({ type: "t", payload }, { maxPayloadBytes }).payload, {
      filler,
      tct: { token: standIn, claims }
    })
    assert.deepStrictEqual(stored({ type: "t", payload }, { maxPayloadBytes: limit }).payload, {
      filler,
      tct: { token: standIn }
    })
  })

  it("drops an item that stand-ins alone make more than twice as large as it may be", () => {
    const tiny = `${base64url({ alg: 1 })}.A.A`
    const payload = { tokens: Array.from({ length: 100 }, (_, index) => `${tiny}${index}`) }
    const { dropped, events } = readItems([{ type: "t", payload }, { type: "t" }], { maxPayloadBytes: 2200 })
    assert.deepStrictEqual(dropped, [
      { index: 0, field: "payload", reason: "too large with its tokens replaced" }
    ])
    assert.strictEqual(events.length, 1)
  })

  it("lists at most 64 tokens of an event", () => {
    const tokens = Array.from({ length: 100 }, (_, index) => `${base64url({ alg: "x", n: index })}.e30.AA`)
    assert.strictEqual(stored({ type: "t", payload: { tokens } }).artifacts?.length, 64)
  })

  it("takes a long text apart in linear time", () => {
    const texts = [
      "a".repeat(65_000),
      "a.".repeat(32_000),
      "eyJhbGciOjF9.".repeat(5000),
      `${"A".repeat(65_000)}.b.c`
    ]
    const start = performance.now()
    for (const text of texts) stored({ type: "t", payload: { text } })
    assert.isBelow(performance.now() - start, 2000)
  })

  it("redacts and checks by default", () => {
    const { events } = normaliseBatch([{ type: "t", payload: { token } }], {
      reporter: "r",
      receivedAt: 0,
      mayBeUnclean: false,
      newId: () => "11111111-1111-4111-8111-111111111111"
    })
    assert.include(events[0]?.payload, standIn)
    assert.include(events[0]?.artifacts ?? "", '"signatureVerified":true')
  })
})
