import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { canonicalDigest } from "../../../src/aitp/jcs.ts"
import { verifySessionBundle } from "../../../src/aitp/session-bundle.ts"
import { signDigest } from "../../../src/aitp/signature.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"

const now = 1711900100
const [coordinator, a, b] = [makeAgent(), makeAgent(), makeAgent({ alg: "p256" })] as const

const entry = (agent: TestAgent, overrides: object = {}, issuer: TestAgent = coordinator) => ({
  aid: agent.aid,
  tct: mintTct(issuer, agent, { iat: now, exp: now + 60, ...overrides }).token
})

const code = (overrides: object = {}, self?: TestAgent, at = now) => {
  const body = {
    version: "aitp/0.2",
    session_id: "650e8400-e29b-41d4-a716-446655440000",
    coordinator: coordinator.aid,
    issued_at: now,
    expires_at: now + 60,
    participants: [entry(a), entry(b)],
    ...overrides
  }
  const wire = { session_bundle: { signature: signDigest(coordinator, canonicalDigest(body)), ...body } }
  return Result.match(verifySessionBundle(wire, { now: at, ...(self && { self: self.aid }) }), {
    onFailure: (refused) => refused.code,
    onSuccess: () => "ok"
  })
}

describe("verifySessionBundle", () => {
  it("accepts a good bundle for its members only", () => {
    assert.strictEqual(code(), "ok")
    assert.strictEqual(code({}, b), "ok")
    assert.strictEqual(code({}, coordinator), "BUNDLE_NOT_MEMBER")
  })

  it("reports each defect by its code", () => {
    const rows: ReadonlyArray<readonly [string, object, string]> = [
      ["version", { version: "aitp/0.1", surplus: 1 }, "BUNDLE_VERSION_MISMATCH"],
      ["structure", { session_id: "x", expires_at: 1 }, "SESSION_BUNDLE_INVALID"],
      ["unknown member", { surplus: 1, expires_at: 1 }, "UNKNOWN_FIELD"],
      ["expiry before signature", { expires_at: now, signature: "A".repeat(86) }, "BUNDLE_EXPIRED"],
      ["window", { expires_at: now + 59 }, "BUNDLE_EXPIRY_WINDOW_INVARIANT"],
      [
        "a TCT that ends earlier",
        { participants: [entry(a), entry(b, { exp: now + 30 })] },
        "BUNDLE_EXPIRY_WINDOW_INVARIANT"
      ],
      ["nobody", { participants: [] }, "BUNDLE_EMPTY_PARTICIPANTS"],
      ["no token", { participants: [{ aid: a.aid, tct: "x" }] }, "BUNDLE_PARTICIPANT_TCT_INVALID"],
      ["signature", { signature: "A".repeat(86) }, "BUNDLE_INVALID_SIGNATURE"],
      ["another coordinator", { coordinator: a.aid }, "BUNDLE_INVALID_SIGNATURE"],
      ["foreign TCT", { participants: [entry(a, {}, b)] }, "BUNDLE_COORDINATOR_ISSUER_MISMATCH"],
      ["borrowed TCT", { participants: [{ ...entry(a), aid: b.aid }] }, "BUNDLE_AUDIENCE_MISMATCH"],
      [
        "forged TCT",
        { participants: [entry(a, {}, { ...b, aid: coordinator.aid })] },
        "BUNDLE_PARTICIPANT_TCT_INVALID"
      ]
    ]
    for (const [name, overrides, expected] of rows) assert.strictEqual(code(overrides), expected, name)
  })

  it("refuses anything that is no bundle", () => {
    for (const wire of [null, [], {}, { session_bundle: null }, { session_bundle: {} }]) {
      const refused = Result.getOrThrow(Result.flip(verifySessionBundle(wire, { now })))
      assert.strictEqual(refused.code, "SESSION_BUNDLE_INVALID")
    }
  })
})
