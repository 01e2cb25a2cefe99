// Ed25519 (RFC 8032) with the strictness AITP peers apply, the same on every runtime: OpenSSL 3.0 and Deno accept keys of
// small order, under which one all-zero signature "verifies" for any message, and an AID is self-asserted.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import { Point } from "@noble/ed25519"

// DER of SubjectPublicKeyInfo and PKCS#8 up to the 32 raw bytes (RFC 8410).
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex")
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

// y coordinates of the eight points of small order, little-endian, sign bit cleared.
const smallOrder = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
])

// p = 2^255 - 19 and the group order L, little-endian.
const p = Buffer.from("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "hex")
const order = Buffer.from("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", "hex")

const isBelow = (value: Uint8Array, limit: Uint8Array): boolean => {
  for (let i = 31; i >= 0; i--) {
    if (value[i] !== limit[i]) return value[i]! < limit[i]! // both are 32 bytes long
  }
  return false
}

/** 32 bytes that encode y < p and no point of small order. Does not tell whether y lies on the curve. */
const isCanonicalPoint = (bytes: Uint8Array): boolean => {
  const y = Buffer.from(bytes)
  y[31]! &= 0x7f
  return isBelow(y, p) && !smallOrder.has(y.toString("hex"))
}

/** True for 32 bytes that encode, canonically, a curve point that is not of small order. */
export const isEd25519Key = (raw: Uint8Array): boolean => {
  if (raw.length !== 32 || !isCanonicalPoint(raw)) return false
  try {
    Point.fromBytes(raw)
    return true
  } catch {
    return false
  }
}

/** The runtime's handle for a key that passed {@link isEd25519Key}. */
export const importEd25519 = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: "der", type: "spki" })

/** Plain Ed25519 over `message`. False also for S >= L and for R non-canonical or of small order. */
export const verifyEd25519 = (key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean =>
  signature.length === 64 &&
  isBelow(signature.subarray(32), order) &&
  isCanonicalPoint(signature.subarray(0, 32)) &&
  verify(null, message, key, signature)

/** The private key for a 32-byte seed; throws a RangeError for any other length. */
export const importEd25519Seed = (seed: Uint8Array): KeyObject => {
  if (seed.length !== 32) throw new RangeError("an Ed25519 seed has 32 bytes")
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })
}

/** The raw public key, 32 bytes, of a private key. */
export const ed25519PublicKey = (privateKey: KeyObject): Uint8Array =>
  createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(spkiPrefix.length)

/** Plain Ed25519 over `message`, 64 bytes, deterministic. */
export const signEd25519 = (privateKey: KeyObject, message: Uint8Array): Uint8Array =>
  sign(null, message, privateKey)
