import { assert, describe, it } from "@effect/vitest"
import { Point } from "@noble/ed25519"
import { createHash } from "node:crypto"
import * as fc from "fast-check"
import { keyOfAid } from "../../../src/aitp/aid.ts"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { importEd25519, isEd25519Key, verifyEd25519 } from "../../../src/aitp/ed25519.ts"
import { decompressP256 } from "../../../src/aitp/p256.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { parseSignature, signDigest, verifyDigest } from "../../../src/aitp/signature.ts"
import { ed25519Signer } from "../../../src/aitp/signer.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"

const order = 2n ** 252n + 27742317777372353535851937790883648493n

const bigEndian = (value: bigint) => Buffer.from(value.toString(16).padStart(64, "0"), "hex")

const littleEndian = (value: bigint): Uint8Array => bigEndian(value).toReversed()

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`)

const sha512 = (...parts: ReadonlyArray<Uint8Array>) =>
  createHash("sha512").update(Buffer.concat(parts)).digest()

/** A signer and its secret scalar, for signatures an honest signer would not make. */
const expanded = (name: string) => {
  const seed = sha256(name)
  const half = sha512(seed).subarray(0, 32)
  half[0] = (half[0] ?? 0) & 248
  half[31] = ((half[31] ?? 0) & 127) | 64
  return { signer: ed25519Signer(seed), scalar: toBigInt(half) % order }
}

const digest = sha256("message")
const check = (agent: TestAgent, signature: string) => verifyDigest(keyOfAid(agent.aid), digest, signature)

describe("signatures over a digest", () => {
  it("verify under the signer's key and no other, for both algorithms", () => {
    for (const alg of ["ed25519", "p256"] as const) {
      const agent = makeAgent({ alg })
      const signature = signDigest(agent, digest)
      assert.strictEqual(check(agent, signature), alg)
      assert.isUndefined(check(makeAgent({ alg }), signature))
      assert.isUndefined(verifyDigest(keyOfAid(agent.aid), sha256("other"), signature))
    }
  })

  it("do not survive a flipped bit anywhere", () => {
    for (const alg of ["ed25519", "p256"] as const) {
      const agent = makeAgent({ alg })
      const bytes = parseSignature(signDigest(agent, digest))?.bytes
      assert.isDefined(bytes)
      for (let bit = 0; bit < 512; bit += 5) {
        const flipped = Uint8Array.from(bytes ?? [])
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.isUndefined(check(agent, `${alg}.${encodeBase64url(flipped)}`), `${alg} bit ${bit}`)
      }
    }
  })

  it("carry at most one lower-case tag, which must be the key's own", () => {
    const agent = makeAgent()
    const signature = signDigest(agent, digest)
    assert.strictEqual(check(agent, `ed25519.${signature}`), "ed25519")
    const wrong = ["p256.", "Ed25519.", "ed25519.ed25519.", "ed25519", ".", " ", "ed448."]
    for (const prefix of wrong) assert.isUndefined(check(agent, prefix + signature), prefix)
    for (const suffix of ["=", "==", "\n", " ", "A", "."])
      assert.isUndefined(check(agent, signature + suffix))
    const p256 = makeAgent({ alg: "p256" })
    const tagged = signDigest(p256, digest)
    assert.isUndefined(check(p256, tagged.replace("p256.", "")), "untagged means Ed25519")
    assert.isUndefined(check(p256, tagged.replace("p256.", "ed25519.")))
  })

  it("never throw, whatever the text", () => {
    const agent = makeAgent()
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => check(agent, text) === undefined)
    )
  })
})

describe("Ed25519 strictness", () => {
  const agent = makeAgent()
  const bytes = parseSignature(signDigest(agent, digest))?.bytes ?? new Uint8Array()
  const handle = importEd25519(agent.raw)

  it("refuses S + L, the second spelling of a signature", () => {
    assert.isTrue(verifyEd25519(handle, digest, bytes))
    for (const multiple of [1n, 2n, 7n]) {
      const s = toBigInt(bytes.subarray(32)) + multiple * order
      const other = Buffer.concat([bytes.subarray(0, 32), littleEndian(s)])
      assert.isFalse(verifyEd25519(handle, digest, other))
    }
  })

  it("refuses all eight points of small order and their non-canonical spellings as keys and as R", () => {
    const generator = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    const encodings = new Set<string>()
    let point = Point.ZERO
    for (let i = 0; i < 8; i++) {
      encodings.add(Buffer.from(point.toBytes()).toString("hex"))
      point = point.add(generator)
    }
    assert.strictEqual(encodings.size, 8)
    const p = 2n ** 255n - 19n
    for (const spelling of encodings) {
      const raw = Buffer.from(spelling, "hex")
      const y = toBigInt(raw) & (2n ** 255n - 1n)
      const spellings = [raw, Buffer.from(raw)]
      const last = spellings[1]
      if (last !== undefined) last[31] = (last[31] ?? 0) ^ 0x80
      if (y < 19n)
        spellings.push(Buffer.from(littleEndian(y + p)), Buffer.from(littleEndian(y + p + 2n ** 255n)))
      for (const each of spellings) {
        assert.isFalse(isEd25519Key(each), each.toString("hex"))
        // With R of small order and S = 0 a cofactored check would pass for a key of small order.
        assert.isFalse(verifyEd25519(handle, digest, Buffer.concat([each, new Uint8Array(32)])))
      }
    }
  })

  it("refuses a signature that only a cofactored verifier would accept, on every runtime", () => {
    // R = rB + T with T of order 8: the equation holds after multiplication by 8 and not before.
    const torsion = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    const { scalar, signer } = expanded("cofactor")
    const nonce = 12345n
    const sign = (r: Point) => {
      const encoded = r.toBytes()
      const k = toBigInt(sha512(encoded, signer.raw, digest)) % order
      return Buffer.concat([encoded, littleEndian((nonce + k * scalar) % order)])
    }
    const key = importEd25519(signer.raw)
    const honest = Point.BASE.multiply(nonce)
    assert.isTrue(verifyEd25519(key, digest, sign(honest)), "the construction itself is right")
    assert.isFalse(verifyEd25519(key, digest, sign(honest.add(torsion))))
  })

  it("refuses an honest equation whose R is the neutral element", () => {
    // With the nonce 0 the signature is S = k * secret. Node 24 refuses it by itself, Deno 2.9 does not.
    const { scalar, signer } = expanded("zero nonce")
    const encoded = Point.ZERO.toBytes()
    const k = toBigInt(sha512(encoded, signer.raw, digest)) % order
    const signature = Buffer.concat([encoded, littleEndian((k * scalar) % order)])
    assert.isFalse(verifyEd25519(importEd25519(signer.raw), digest, signature))
  })

  it("refuses seeds of another length", () => {
    for (const length of [0, 31, 33, 64])
      assert.throws(() => ed25519Signer(new Uint8Array(length)), RangeError)
  })
})

describe("P-256 strictness", () => {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const agent = makeAgent({ alg: "p256" })
  const bytes = Buffer.from(parseSignature(signDigest(agent, digest))?.bytes ?? [])
  const [r, s] = [bytes.subarray(0, 32), bytes.subarray(32)]
  const verdict = (left: Uint8Array, right: Uint8Array) =>
    check(agent, `p256.${encodeBase64url(Buffer.concat([left, right]))}`)

  it("refuses n - s, zero, and values of n or more", () => {
    assert.strictEqual(verdict(r, s), "p256")
    const high = bigEndian(n - BigInt(`0x${s.toString("hex")}`))
    const zero = bigEndian(0n)
    const max = Buffer.alloc(32, 0xff)
    for (const [left, right] of [
      [r, high],
      [r, zero],
      [zero, s],
      [zero, zero],
      [bigEndian(n), s],
      [r, bigEndian(n)],
      [max, max]
    ] as const) {
      assert.isUndefined(verdict(left, right))
    }
  })

  it("takes compressed points only", () => {
    const point = decompressP256(agent.raw)
    assert.isDefined(point)
    const x = agent.raw.subarray(1)
    for (const prefix of [0, 1, 4, 5, 6, 7])
      assert.isUndefined(decompressP256(Buffer.concat([Buffer.of(prefix), x])))
    const uncompressed = Buffer.concat([Buffer.of(4), point?.x ?? Buffer.of(), point?.y ?? Buffer.of()])
    assert.isUndefined(decompressP256(uncompressed))
    assert.isUndefined(decompressP256(x))
  })
})
