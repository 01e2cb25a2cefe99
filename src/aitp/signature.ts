// JCS-profile signatures (RFC-AITP-0001 §5.4.1-5.4.3): a text member holding `[<alg>.]<86 characters>` over SHA-256.

import { decodeBase64urlOf, encodeBase64url } from "./base64url.ts"
import { verifyEd25519 } from "./ed25519.ts"
import type { KeyAlg, PublicKey } from "./keys.ts"
import { verifyP256, verifyP256Digest } from "./p256.ts"
import type { Signer } from "./signer.ts"

/** Pattern of a signature member; the tag is part of the value. */
export const signaturePattern = /^((ed25519|p256)\.)?[A-Za-z0-9_-]{86}$/u

interface SignatureField {
  /** An untagged signature is Ed25519, whatever the AID says. */
  readonly alg: KeyAlg
  readonly tagged: boolean
  readonly bytes: Uint8Array
}

/** Reads a signature member: at most one lower-case tag, then 64 bytes in canonical base64url. */
export const parseSignature = (text: string): SignatureField | undefined => {
  const match = signaturePattern.exec(text)
  if (match === null) return undefined
  const bytes = decodeBase64urlOf(64, text.slice(match[1]?.length ?? 0))
  const tag = match[2] as KeyAlg | undefined // the pattern knows no other tag
  return bytes === undefined ? undefined : { alg: tag ?? "ed25519", tagged: tag !== undefined, bytes }
}

export interface VerifyOptions {
  /**
   * The RFC does not pin how P-256 signs a digest. The form of aitp-rs (ES256, which hashes the digest once more) is
   * always accepted; this also accepts the form of aitp-verifier-py (the digest is the ECDSA hash). Default false.
   */
  readonly acceptP256SingleHash?: boolean | undefined
}

/** Which reading of the specification a valid signature follows. */
export type SignatureForm = "ed25519" | "p256" | "p256_single_hash"

/** Checks a signature member over a SHA-256 digest. `undefined` when it does not verify under `key`. */
export const verifyDigest = (
  key: PublicKey,
  digest: Uint8Array,
  signature: string,
  options: VerifyOptions = {}
): SignatureForm | undefined => {
  const field = parseSignature(signature)
  if (field === undefined || field.alg !== key.alg) return undefined
  if (key.alg === "ed25519") return verifyEd25519(key.handle, digest, field.bytes) ? "ed25519" : undefined
  if (verifyP256(key.handle, digest, field.bytes)) return "p256"
  return options.acceptP256SingleHash === true && verifyP256Digest(key.raw, digest, field.bytes)
    ? "p256_single_hash"
    : undefined
}

/** Signs a SHA-256 digest: untagged for Ed25519 (all peers read it), tagged for P-256 (the tag is required). */
export const signDigest = (signer: Signer, digest: Uint8Array): string =>
  `${signer.alg === "p256" ? "p256." : ""}${encodeBase64url(signer.sign(digest))}`
