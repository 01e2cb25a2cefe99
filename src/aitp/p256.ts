// ECDSA on P-256 as AITP uses it (RFC-AITP-0001 §5.4.3): SEC1 compressed keys, raw R||S, low S only.

import { createPublicKey, type KeyObject, verify } from "node:crypto"
import { p256 } from "@noble/curves/nist.js"
import { encodeBase64url } from "./base64url.ts"

const n = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex")
const halfN = Buffer.from("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8", "hex")
const zero = Buffer.alloc(32)

/** Affine coordinates, 32 bytes big-endian each. */
export interface P256Point {
  readonly x: Uint8Array
  readonly y: Uint8Array
}

/** Decompresses a 33-byte SEC1 point (prefix 02 or 03, x < p, on the curve); `undefined` for anything else. */
export const decompressP256 = (raw: Uint8Array): P256Point | undefined => {
  if (raw.length !== 33 || (raw[0] !== 2 && raw[0] !== 3)) return undefined
  try {
    const uncompressed = p256.Point.fromBytes(raw).toBytes(false)
    return { x: uncompressed.subarray(1, 33), y: uncompressed.subarray(33) }
  } catch {
    return undefined
  }
}

/** The runtime's handle for a decompressed point. */
export const importP256 = (point: P256Point): KeyObject =>
  createPublicKey({
    key: { kty: "EC", crv: "P-256", x: encodeBase64url(point.x), y: encodeBase64url(point.y) },
    format: "jwk"
  })

/** 1 <= r < n and 1 <= s <= n/2: the runtimes would accept both s and n - s, two spellings of one signature. */
const isStrictSignature = (signature: Uint8Array): boolean => {
  if (signature.length !== 64) return false
  const r = signature.subarray(0, 32)
  const s = signature.subarray(32)
  return (
    Buffer.compare(r, zero) > 0 &&
    Buffer.compare(r, n) < 0 &&
    Buffer.compare(s, zero) > 0 &&
    Buffer.compare(s, halfN) <= 0
  )
}

/** ES256: ECDSA over SHA-256(`message`). */
export const verifyP256 = (key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean =>
  isStrictSignature(signature) && verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature)

/** ECDSA with `digest` (32 bytes) taken as the hash itself. Not offered by node:crypto, hence slow (1 to 2 ms). */
export const verifyP256Digest = (raw: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean =>
  isStrictSignature(signature) && p256.verify(signature, digest, raw, { prehash: false, lowS: true })
