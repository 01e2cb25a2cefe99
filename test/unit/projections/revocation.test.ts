import { assert, describe, it } from "@effect/vitest"
import { contributionsOf } from "../../support/projections/contributions.ts"

const JTI = "0123abcd-0000-4000-8000-000000000001"

describe("what an event says about revocation", () => {
  it("reads both kinds, in the payload, flat and beside a payload", () => {
    for (const type of ["tct.revoked", "delegation.revoked"]) {
      for (const item of [
        { payload: { jti: JTI.toUpperCase(), reason: "r" } },
        { jti: JTI, reason: "r" },
        { payload: { note: 1 }, jti: JTI, reason: "r" },
        { payload: { child_jti: JTI, reason: "r" } }
      ]) {
        assert.deepStrictEqual(contributionsOf({ type, ...item }).revocation, { jti: JTI, reason: "r" })
      }
    }
  })

  it("prefers the payload's id", () => {
    const jti = JTI.replace(/1$/, "2")
    assert.strictEqual(
      contributionsOf({ type: "tct.revoked", payload: { jti: JTI }, jti }).revocation?.jti,
      JTI
    )
  })

  it("does without a reason and cuts a long one", () => {
    assert.isNull(contributionsOf({ type: "tct.revoked", jti: JTI, reason: 7 }).revocation?.reason)
    const { revocation } = contributionsOf({ type: "tct.revoked", jti: JTI, reason: "😀".repeat(600) })
    assert.strictEqual(revocation?.reason, "😀".repeat(500))
  })

  it("counts a report without a UUID and ignores other types", () => {
    for (const jti of ["no uuid", "", 7]) {
      const { revocation, skipped } = contributionsOf({ type: "tct.revoked", payload: { jti } })
      assert.isUndefined(revocation)
      assert.deepStrictEqual(skipped, ["revocation"])
    }
    assert.isUndefined(contributionsOf({ type: "tct.revoke", jti: JTI }).revocation)
    assert.deepStrictEqual(contributionsOf({ type: "tct.verified", jti: JTI }).skipped, [])
  })
})
