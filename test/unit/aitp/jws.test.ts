import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import type { JsonObject } from "../../../src/aitp/json.ts"
import { inspectToken, isSignedByIssuer, mintToken, parseToken } from "../../../src/aitp/jws.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"

const segment = (text: string) => encodeBase64url(Buffer.from(text))

/** Signs any header and payload text, whatever they are. */
const forge = (header: string, payload: string, by: TestAgent) => {
  const input = `${segment(header)}.${segment(payload)}`
  return `${input}.${encodeBase64url(by.sign(Buffer.from(input)))}`
}

const signed = (token: string) =>
  Result.match(parseToken(token), { onFailure: () => "malformed", onSuccess: isSignedByIssuer })

const agent = makeAgent()
const p256 = makeAgent({ alg: "p256" })
const claims = { iss: agent.aid, n: 1 }
const payload = JSON.stringify(claims)

describe("parseToken", () => {
  it("reads what mintToken writes, for both algorithms", () => {
    for (const by of [agent, p256]) {
      const token = mintToken("any+jwt", { iss: by.aid, n: 1 }, by)
      const read = Result.getOrThrow(parseToken(token))
      assert.strictEqual(read.alg, by.alg === "ed25519" ? "EdDSA" : "ES256")
      assert.strictEqual(read.typ, "any+jwt")
      assert.deepStrictEqual(read.claims, { iss: by.aid, n: 1 })
      assert.isTrue(isSignedByIssuer(read))
    }
  })

  it("refuses every departure from the profile although it is validly signed", () => {
    const forged: ReadonlyArray<readonly [string, string]> = [
      ['{"alg":"EdDSA","typ":"t","kid":"x"}', payload],
      ['{"alg":"EdDSA","typ":"t","crit":[]}', payload],
      ['{"alg":"EdDSA"}', payload],
      ['{"typ":"t"}', payload],
      ['{"alg":"EdDSA","typ":null}', payload],
      ['{"alg":["EdDSA"],"typ":"t"}', payload],
      ['{"alg":"none","alg":"EdDSA","typ":"t"}', payload],
      ['["EdDSA","t"]', payload],
      ["null", payload],
      ["", payload],
      ['\uFEFF{"alg":"EdDSA","typ":"t"}', payload],
      ['{"alg":"EdDSA","typ":"t"}', "[]"],
      ['{"alg":"EdDSA","typ":"t"}', '"text"'],
      ['{"alg":"EdDSA","typ":"t"}', `{"iss":"${agent.aid}","iss":"${agent.aid}"}`],
      ['{"alg":"EdDSA","typ":"t"}', `${payload} x`]
    ]
    for (const [header, body] of forged)
      assert.strictEqual(signed(forge(header, body, agent)), "malformed", header + body)
    assert.isTrue(
      signed(forge('{"typ":"t","alg":"EdDSA"}', `\n ${payload}`, agent)),
      "order and whitespace are free"
    )
  })

  it("refuses other segment counts and lax base64url", () => {
    const token = mintToken("t", claims, agent)
    const [header = "", body = "", signature = ""] = token.split(".")
    for (const text of [
      "",
      "..",
      header,
      `${header}.${body}`,
      `${header}.${body}.`,
      `.${body}.${signature}`,
      `${token}.`,
      `${token}.AAAA`,
      `${token}=`,
      `${token}\n`,
      ` ${token}`,
      token.replace(".", "..")
    ]) {
      assert.strictEqual(signed(text), "malformed", JSON.stringify(text))
    }
  })

  it("lets the AID choose the algorithm, never the token", () => {
    for (const alg of ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", "EdDSA "]) {
      assert.isFalse(signed(forge(`{"alg":"${alg}","typ":"t"}`, payload, agent)), alg)
    }
    assert.isFalse(signed(forge('{"alg":"EdDSA","typ":"t"}', JSON.stringify({ iss: p256.aid }), p256)))
    for (const iss of [undefined, null, 1, "x", [agent.aid], `${agent.aid}=`]) {
      assert.isFalse(signed(forge('{"alg":"EdDSA","typ":"t"}', JSON.stringify({ iss }), agent)))
    }
  })

  it("verifies the transmitted bytes", () => {
    const token = mintToken("t", claims, agent)
    const [header = "", , signature = ""] = token.split(".")
    assert.isFalse(signed(`${header}.${segment('{"n":1,"iss":"' + agent.aid + '"}')}.${signature}`))
    assert.isFalse(signed(`${segment('{"typ":"t","alg":"EdDSA"}')}.${token.split(".")[1]}.${signature}`))
  })
})

describe("inspectToken", () => {
  it("decodes a reported token and says whether its issuer signed it", () => {
    for (const issuer of [agent, p256]) {
      const { claims: expected, token } = mintTct(issuer, makeAgent())
      const inspected = inspectToken(token)
      assert.deepStrictEqual(inspected?.header, {
        alg: issuer.alg === "ed25519" ? "EdDSA" : "ES256",
        typ: "aitp-tct+jwt"
      })
      assert.deepStrictEqual(inspected?.claims, expected as unknown as JsonObject) // claims are JSON
      assert.isTrue(inspected?.signatureVerified)
    }
  })

  it("recognises tokens it cannot vouch for, so that they are redacted all the same", () => {
    const { token } = mintTct(agent, makeAgent())
    const [, body = ""] = token.split(".")
    const forged = mintTct({ ...makeAgent(), aid: agent.aid }, makeAgent()).token
    const unvouched = [
      forged,
      forge('{"alg":"EdDSA","kid":"k"}', payload, agent),
      forge('{"alg":"EdDSA","typ":"t","typ":"t"}', payload, agent),
      forge('{"alg":"RS256"}', '{"iss":"https://idp.example"}', agent),
      `${segment('{"alg":"none"}')}.${body}.AAAA`,
      `${segment('{"typ":"JWT"}')}.${segment("no json")}.AAAB`,
      token.slice(0, -1)
    ]
    for (const text of unvouched) assert.isFalse(inspectToken(text)?.signatureVerified, text)
    assert.isUndefined(inspectToken(unvouched[5] ?? "")?.claims)
  })

  it("leaves strings alone that only look like tokens", () => {
    for (const text of [
      "x.y.z",
      "1.2.3",
      "www.example.com",
      "",
      "a.b",
      segment("[]") + ".a.b",
      segment("{}") + ".a.b",
      `Bearer ${mintTct(agent, agent).token}`
    ]) {
      assert.isUndefined(inspectToken(text), text)
    }
  })

  it("never throws", () => {
    const part = fc.oneof(fc.base64String(), fc.json().map(segment), fc.string({ unit: "binary" }))
    fc.assert(
      fc.property(part, part, part, (a, b, c) => inspectToken(`${a}.${b}.${c}`)?.signatureVerified !== true)
    )
  })
})
