import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { spellingsOf } from "../../../src/aitp/aid.ts"
import { canonicalDigest } from "../../../src/aitp/jcs.ts"
import {
  decideRevocation,
  type RevocationList,
  type RevocationPolicy,
  signRevocationList,
  verifyRevocationSnapshot
} from "../../../src/aitp/revocation-list.ts"
import { signDigest } from "../../../src/aitp/signature.ts"
import { makeAgent } from "../../support/aitp/agent.ts"

const now = 1711900100
const issuer = makeAgent()
const jti = "550e8400-e29b-41d4-a716-446655440099"

const list = (overrides: Partial<RevocationList> = {}): RevocationList => ({
  version: "aitp/0.2",
  issuer: issuer.aid,
  published_at: now - 10,
  expires_at: now + 100,
  entries: [{ jti, revoked_at: now - 20 }],
  ...overrides
})

/** Signs a body whatever it is. */
const signed = (body: object) => ({
  revocation_list: body,
  signature: signDigest(issuer, canonicalDigest(body))
})

const code = (wire: unknown, options = {}) =>
  Result.match(verifyRevocationSnapshot(wire, options), {
    onFailure: (refused) => refused.code,
    onSuccess: ({ form }) => form
  })

describe("revocation snapshot", () => {
  it("verifies in the form it was signed in and in no other", () => {
    const [inner, wrapped] = (["inner", "wrapped"] as const).map((form) =>
      signRevocationList(list(), issuer, form)
    )
    assert.strictEqual(code(inner), "inner")
    assert.strictEqual(code(inner, { acceptWrapped: true }), "inner")
    assert.strictEqual(code(wrapped), "REVOCATION_SNAPSHOT_SIGNATURE_INVALID")
    assert.strictEqual(code(wrapped, { acceptWrapped: true }), "wrapped")
  })

  it("refuses validly signed structural offences", () => {
    const invalid = "REVOCATION_SNAPSHOT_INVALID"
    const rows: ReadonlyArray<readonly [object, string]> = [
      [{ version: "aitp/0.1" }, invalid],
      [{ issuer: "x" }, invalid],
      [{ published_at: 1.5 }, invalid],
      [{ published_at: "1" }, invalid],
      [{ entries: [{ jti: "x", revoked_at: 1 }] }, invalid],
      [{ entries: [{ jti }] }, invalid],
      [{ entries: [{ jti, revoked_at: 1, reason: null }] }, invalid],
      [{ entries: {} }, invalid],
      [{ entries: [{ jti, revoked_at: 1, by: "x" }] }, "UNKNOWN_FIELD"],
      [{ count: 1 }, "UNKNOWN_FIELD"],
      [{ entries: [] }, "inner"],
      [{ extensions: { x: 1 } }, "inner"]
    ]
    for (const [overrides, expected] of rows)
      assert.strictEqual(code(signed({ ...list(), ...overrides })), expected, JSON.stringify(overrides))
    for (const wire of [null, [], {}, { revocation_list: list() }, { ...signed(list()), signature: "x" }]) {
      assert.strictEqual(code(wire), invalid)
    }
    assert.strictEqual(code({ ...signed(list()), by: "x" }), "UNKNOWN_FIELD")
  })

  it("is signed by its issuer or not at all", () => {
    const thief = makeAgent()
    assert.throws(() => signRevocationList(list(), thief), TypeError)
    const { signature } = signRevocationList(list({ issuer: thief.aid }), thief)
    assert.strictEqual(code({ revocation_list: list(), signature }), "REVOCATION_SNAPSHOT_SIGNATURE_INVALID")
    const shortened = { ...signRevocationList(list(), issuer), revocation_list: list({ entries: [] }) }
    assert.strictEqual(code(shortened), "REVOCATION_SNAPSHOT_SIGNATURE_INVALID")
  })
})

describe("decideRevocation", () => {
  const policies: Record<string, RevocationPolicy> = {
    closed: { failMode: "fail_closed", maxStalenessSecs: 300 },
    open: { failMode: "fail_open", maxStalenessSecs: 300 },
    soft: { failMode: "soft_fail", maxStalenessSecs: 300, safeCapabilities: ["demo.echo"] },
    softWithoutSubset: { failMode: "soft_fail", maxStalenessSecs: 300 }
  }
  const decide = (
    mode: string,
    body: RevocationList | undefined,
    asked: { jti?: string; at?: number } = {}
  ) => {
    const snapshot = body && Result.getOrThrow(verifyRevocationSnapshot(signed(body)))
    const decision = decideRevocation({
      issuer: spellingsOf(issuer.aid)[1] ?? issuer.aid,
      jti: asked.jti ?? jti,
      snapshot,
      now: asked.at ?? now,
      policy: policies[mode] ?? { failMode: "fail_closed", maxStalenessSecs: 0 }
    })
    return [decision.allowed, decision.basis, "absence" in decision ? decision.absence : ""].join(" ")
  }

  it("answers from a usable snapshot, whatever the mode and the case of the handle", () => {
    for (const mode of Object.keys(policies)) {
      assert.strictEqual(decide(mode, list()), "false listed ")
      assert.strictEqual(decide(mode, list(), { jti: jti.toUpperCase() }), "false listed ")
      assert.strictEqual(
        decide(mode, list({ entries: [{ jti: jti.toUpperCase(), revoked_at: 1 }] })),
        "false listed "
      )
      assert.strictEqual(
        decide(mode, list(), { jti: "550e8400-e29b-41d4-a716-446655440098" }),
        "true not_listed "
      )
      assert.strictEqual(decide(mode, list({ published_at: now - 300 })), "false listed ")
    }
  })

  it("falls back to the mode when the snapshot counts as absent, even if it lists the handle", () => {
    const other = makeAgent()
    const absent: ReadonlyArray<readonly [string, RevocationList | undefined, number]> = [
      ["none", undefined, now],
      ["expired", list(), now + 100],
      ["stale", list({ published_at: now - 301 }), now]
    ]
    for (const [absence, body, at] of absent) {
      assert.strictEqual(decide("closed", body, { at }), `false absent ${absence}`)
      assert.strictEqual(decide("open", body, { at }), `true fail_open ${absence}`)
      assert.strictEqual(decide("soft", body, { at }), `true soft_fail ${absence}`)
      assert.strictEqual(decide("softWithoutSubset", body, { at }), `false absent ${absence}`)
    }
    const foreign = Result.getOrThrow(
      verifyRevocationSnapshot(signRevocationList(list({ issuer: other.aid, entries: [] }), other))
    )
    const question = { issuer: issuer.aid, jti, snapshot: foreign, now }
    const decision = decideRevocation({
      ...question,
      policy: { failMode: "fail_closed", maxStalenessSecs: 300 }
    })
    assert.deepStrictEqual(decision, {
      allowed: false,
      code: "TCT_REVOKED",
      basis: "absent",
      absence: "other_issuer"
    })
  })
})
