import { createSecretKey, randomBytes } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import {
  type CipherContext,
  type DataKey,
  decrypt,
  encrypt,
  headerOf
} from "../../../src/identity/ciphertext.ts"

const keyOf = (id: string): DataKey => ({ id, key: createSecretKey(randomBytes(32)) })
const ringOf = (...keys: ReadonlyArray<DataKey>) => new Map(keys.map((key) => [key.id, key]))

const [older, newer] = [keyOf("2025-01"), keyOf("2026-01")]
const context: CipherContext = ["webhooks.secret_enc", "0190"]
const text = Buffer.from("whsec_c2VjcmV0IG9mIGEgc3Vic2NyaXB0aW9u")

/** The text, or why there is none. */
const read = (ring: ReadonlyMap<string, DataKey>, data: Uint8Array, place: CipherContext = context) =>
  Result.match(decrypt(ring, data, place), {
    onSuccess: (bytes) => bytes.toString("utf8"),
    onFailure: ({ keyId, reason }) => `${reason} ${keyId}`
  })

describe("data at rest", () => {
  it("gives back any bytes, under every key of the ring", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom(older, newer), fc.string(), (bytes, key, place) => {
        const data = encrypt(key, bytes, [place])
        const found = decrypt(ringOf(newer, older), data, [place])
        assert.deepEqual(Result.getOrThrow(found), Buffer.from(bytes))
        assert.deepEqual(data.subarray(0, headerOf(key).length), headerOf(key))
      })
    )
  })

  it("never gives the same ciphertext twice, and none that shows the text", () => {
    const made = Array.from({ length: 100 }, () => encrypt(older, text, context))
    assert.strictEqual(new Set(made.map((data) => data.toString("hex"))).size, 100)
    for (const data of made) assert.isFalse(data.includes(text.subarray(0, 8)))
  })

  it("refuses a ciphertext with any bit changed, and any part of one", () => {
    const data = encrypt(older, text, context)
    for (let bit = 0; bit < data.length * 8; bit += 1) {
      const changed = Buffer.from(data)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.match(read(ringOf(older), changed), /^(damaged|unknown_key) /, `bit ${bit}`)
    }
    for (let length = 0; length < data.length; length += 1) {
      assert.match(
        read(ringOf(older), data.subarray(0, length)),
        /^(damaged|unknown_key) /,
        `${length} bytes`
      )
    }
    assert.strictEqual(read(ringOf(older), data), text.toString())
  })

  it("refuses a ciphertext in any place but its own", () => {
    const data = encrypt(older, text, context)
    const places: ReadonlyArray<CipherContext> = [
      ["webhooks.prev_secret_enc", "0190"],
      ["webhooks.secret_enc", "0191"],
      ["webhooks.secret_enc"],
      ["webhooks.secret_enc", "0190", ""],
      ["webhooks.secret_enc0190"],
      ["webhooks.secret_enc,0190"]
    ]
    for (const place of places) assert.strictEqual(read(ringOf(older), data, place), "damaged 2025-01")
  })

  it("names the key that is missing, and takes no other key of that name", () => {
    const data = encrypt(older, text, context)
    assert.strictEqual(read(ringOf(newer), data), "unknown_key 2025-01")
    assert.strictEqual(read(new Map(), data), "unknown_key 2025-01")
    assert.strictEqual(read(ringOf(keyOf("2025-01")), data), "damaged 2025-01")
  })

  it("does not take the ciphertext of one key for that of another when the id in it is changed", () => {
    const twin = { ...older, id: "2026-02" }
    const data = encrypt(older, text, context)
    const renamed = Buffer.concat([headerOf(twin), data.subarray(headerOf(older).length)])
    assert.strictEqual(read(ringOf(older, twin), renamed), "damaged 2026-02")
  })
})
