// Public keys behind AIDs. Checking a point and importing it cost about as much as a signature check, and the same few
// agents sign most of what arrives, so checked keys are remembered. The memo is bounded and invisible: same answers without.

import type { KeyObject } from "node:crypto"
import { decodeBase64urlOf, encodeBase64url } from "./base64url.ts"
import { importEd25519, isEd25519Key } from "./ed25519.ts"
import { decompressP256, importP256, type P256Point } from "./p256.ts"
import { sha256 } from "./sha256.ts"

export type KeyAlg = "ed25519" | "p256"

/** What identifies a principal: two AIDs with equal `alg` and `raw` are one. */
export interface CanonicalKey {
  readonly alg: KeyAlg
  /** Ed25519: 32 bytes. P-256: 33 bytes, SEC1 compressed. */
  readonly raw: Uint8Array
}

/** A key whose point has been checked. */
export class PublicKey implements CanonicalKey {
  readonly alg: KeyAlg
  readonly raw: Uint8Array
  /** base64url of `raw`, as it stands in an AID. */
  readonly encoded: string
  readonly #point: P256Point | undefined
  #handle: KeyObject | undefined

  constructor(raw: Uint8Array, encoded: string, point: P256Point | undefined) {
    this.alg = point === undefined ? "ed25519" : "p256"
    this.raw = raw
    this.encoded = encoded
    this.#point = point
  }

  get handle(): KeyObject {
    this.#handle ??= this.#point === undefined ? importEd25519(this.raw) : importP256(this.#point)
    return this.#handle
  }

  /** RFC 7638 thumbprint, 43 characters, as in `cnf.jkt` (RFC-AITP-0001 §5.4.4). */
  get thumbprint(): string {
    const jwk =
      this.#point === undefined
        ? `{"crv":"Ed25519","kty":"OKP","x":"${this.encoded}"}`
        : `{"crv":"P-256","kty":"EC","x":"${encodeBase64url(this.#point.x)}","y":"${encodeBase64url(this.#point.y)}"}`
    return encodeBase64url(sha256(jwk))
  }
}

const memoLimit = 2048
const memo = new Map<string, PublicKey>()

/**
 * The key that `encoded` (base64url; 43 characters for Ed25519, 44 for P-256) stands for. `undefined` unless canonical,
 * on the curve, and not of small order.
 */
export const publicKey = (alg: KeyAlg, encoded: string): PublicKey | undefined => {
  // The lengths of the two encodings differ, so the text alone tells the algorithm apart.
  const known = memo.get(encoded)
  if (known !== undefined && known.alg === alg) {
    memo.delete(encoded)
    memo.set(encoded, known)
    return known
  }
  const key = alg === "ed25519" ? readEd25519(encoded) : readP256(encoded)
  if (key !== undefined) {
    memo.set(key.encoded, key)
    // A Map iterates in insertion order and hits re-insert: the first entry is the least recently used.
    for (const oldest of memo.keys()) {
      if (memo.size <= memoLimit) break
      memo.delete(oldest)
    }
  }
  return key
}

const readEd25519 = (encoded: string): PublicKey | undefined => {
  const raw = decodeBase64urlOf(32, encoded)
  return raw !== undefined && isEd25519Key(raw) ? makeKey(raw, undefined) : undefined
}

const readP256 = (encoded: string): PublicKey | undefined => {
  const raw = decodeBase64urlOf(33, encoded)
  const point = raw === undefined ? undefined : decompressP256(raw)
  return raw === undefined || point === undefined ? undefined : makeKey(raw, point)
}

// Fresh copies: a slice of a pooled buffer or of a received text would keep all of it alive for as long as the memo does.
const makeKey = (raw: Uint8Array, point: P256Point | undefined) =>
  new PublicKey(new Uint8Array(raw), encodeBase64url(raw), point)
