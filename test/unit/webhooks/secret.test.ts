import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { generateSecret, secretHint, signingKey } from "../../../src/webhooks/secret.ts"

const key = (secret: string) => signingKey(Redacted.make(secret)).toString("latin1")

describe("webhook secrets", () => {
  it("are generated as Standard Webhooks has them: 32 random bytes in base64 behind whsec_", () => {
    const made = Array.from({ length: 200 }, () => Redacted.value(generateSecret()))
    assert.strictEqual(new Set(made).size, 200)
    for (const secret of made) {
      assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
      assert.lengthOf(signingKey(Redacted.make(secret)), 32)
    }
  })

  it("sign with what is behind whsec_, decoded, or with their own bytes", () => {
    assert.strictEqual(key("whsec_c2VjcmV0"), "secret")
    assert.strictEqual(key("whsec_c2VjcmV0cw=="), "secrets")
    for (const other of [
      "c2VjcmV0",
      "whsec_",
      "whsec_c2VjcmV0cw",
      "whsec_not base64",
      "WHSEC_c2VjcmV0",
      "shared"
    ]) {
      assert.strictEqual(key(other), other)
    }
    assert.strictEqual(signingKey(Redacted.make("ü")).toString("hex"), "c3bc")
  })

  it("are told apart by four characters of at least eight", () => {
    const hint = (secret: string) => secretHint(Redacted.make(secret))
    assert.strictEqual(hint("12345678"), "5678")
    assert.strictEqual(hint("aaaaaaaa😀b😀c"), "😀b😀c")
    assert.strictEqual(hint("1234567"), "")
    assert.strictEqual(hint("😀😀😀😀"), "") // eight UTF-16 units
  })

  it("do not show when they are printed", () => {
    const secret = generateSecret()
    assert.notInclude(`${String(secret)} ${JSON.stringify({ secret })}`, Redacted.value(secret).slice(6))
  })
})
