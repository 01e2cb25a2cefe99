import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import fc from "fast-check"
import { mintToken, readToken } from "../../../src/registry/enrollment-token.ts"

const secret = Redacted.make("enrollment-secret-of-the-unit-tests")
const now = 1_700_000_000
const claims = {
  sub: `aid:pubkey:${"A".repeat(43)}`,
  scope: "register",
  iat: now,
  exp: now + 300,
  jti: "6f1de0b6-33a1-4c41-9d63-0a6b1ac1a9a4",
  mh: "B".repeat(43)
} as const

describe("an enrollment token", () => {
  it("is base64url JSON, a dot, and the HMAC-SHA-256 of the first part", () => {
    const [payload = "", mac, ...more] = mintToken(secret, claims).split(".")
    assert.deepEqual(more, [])
    assert.deepEqual(JSON.parse(Buffer.from(payload, "base64url").toString()), claims)
    assert.strictEqual(mac, createHmac("sha256", Redacted.value(secret)).update(payload).digest("base64url"))
  })

  it("is read back until its last second and not from it on", () => {
    const token = mintToken(secret, claims)
    assert.deepEqual(readToken(secret, token, now), claims)
    assert.deepEqual(readToken(secret, token, claims.exp - 1), claims)
    assert.isUndefined(readToken(secret, token, claims.exp))
    assert.isUndefined(readToken(Redacted.make("another secret"), token, now))
  })

  it("is refused with any character changed, added or removed", () => {
    const token = mintToken(secret, claims)
    fc.assert(
      fc.property(fc.nat(token.length), fc.string({ maxLength: 3 }), fc.nat(3), (at, insert, remove) => {
        const changed = token.slice(0, at) + insert + token.slice(at + remove)
        if (changed !== token) assert.isUndefined(readToken(secret, changed, now))
      }),
      { numRuns: 500 }
    )
  })

  it("is refused without one of its claims or with one of another type, however well signed", () => {
    for (const name of Object.keys(claims)) {
      for (const value of [undefined, null, [], {}, true]) {
        const forged = { ...claims, [name]: value } as unknown as typeof claims // an offence on purpose
        assert.isUndefined(readToken(secret, mintToken(secret, forged), now), `${name} ${String(value)}`)
      }
    }
    for (const given of [{ scope: "admin" }, { jti: "x" }, { exp: now + 0.5 }, { exp: "9999999999" }]) {
      const forged = { ...claims, ...given } as unknown as typeof claims // an offence on purpose
      assert.isUndefined(readToken(secret, mintToken(secret, forged), now), JSON.stringify(given))
    }
  })
})
