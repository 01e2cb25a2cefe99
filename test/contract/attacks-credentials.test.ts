import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as ApiKeys from "../../src/http/ApiKeys.ts"
import { mintToken, readToken } from "../../src/registry/enrollment-token.ts"

/** Sizes of what was compared in constant time while something ran, in order. */
const comparisons = (run: () => void): ReadonlyArray<number> => {
  const { timingSafeEqual } = crypto
  const sizes: Array<number> = []
  crypto.timingSafeEqual = (a, b) => {
    sizes.push(a.byteLength)
    return timingSafeEqual(a, b)
  }
  syncBuiltinESMExports()
  try {
    run()
  } finally {
    crypto.timingSafeEqual = timingSafeEqual
    syncBuiltinESMExports()
  }
  return sizes
}

const root = new URL("../../src/", import.meta.url)

describe("the time that a credential takes", () => {
  it("is the same for every key and every guess: all digests are compared, whichever matches", () => {
    const keys = ["first-key", "second-key", "third-key-much-longer-than-the-others"]
    const apiKeys = ApiKeys.make(
      keys.map((key) => Redacted.make(key)),
      true
    )
    for (const guess of [...keys, "", "f", "first-ke", "first-key2", "x".repeat(8000), "third-key"]) {
      assert.deepEqual(
        comparisons(() => apiKeys.admitUnknown(`Bearer ${guess}`)),
        [32, 32, 32],
        guess.slice(0, 20)
      )
    }
  })

  it("is the same for every enrollment token of the right form", () => {
    const secret = Redacted.make("secret")
    const token = mintToken(secret, {
      sub: "aid",
      scope: "register",
      iat: 0,
      exp: 300,
      jti: "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab",
      mh: "x"
    })
    const [payload = "", mac = ""] = token.split(".")
    for (const guess of [
      token,
      `${payload}.${"A".repeat(43)}`,
      `${payload}.${mac.slice(0, 42)}A`,
      `e30.${mac}`
    ])
      assert.deepEqual(
        comparisons(() => void readToken(secret, guess, 1)),
        [32],
        guess
      )
  })

  it("is not left to an ordinary comparison anywhere: secrets are unwrapped to be hashed, signed with or sent", () => {
    const offences = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .flatMap((name) =>
        readFileSync(new URL(name, root), "utf8")
          .split("\n")
          .filter((line) => /Redacted\.value\([^)]*\)\s*[!=]==?|[!=]==?\s*Redacted\.value\(/.test(line))
          .map((line) => `${name}: ${line.trim()}`)
      )
    // neither can be timed: one is decided at start, of the other the answer itself tells whether it was the same
    assert.deepEqual(offences.map((offence) => offence.split(":")[0]).toSorted(), [
      "config.ts",
      "webhooks/Subscriptions.ts"
    ])
  })
})
