import { Result } from "effect"
import { keyOfAid } from "../aitp/aid.ts"
import { readManifestEnvelope } from "../aitp/manifest-envelope.ts"
import { manifestDigest, type ManifestVerifyCode, verifyManifest } from "../aitp/manifest.ts"

/** A registered manifest, and the reading of it that the registry answers with. */
export interface StoredManifest {
  readonly aid: string
  readonly keyAlg: string
  readonly keyRaw: Uint8Array
  readonly displayName: string
  readonly handshakeEndpoint: string
  readonly offeredCaps: unknown
  /** The registered body as received. */
  readonly manifestJson: string
  /** SHA-256 of the canonical manifest with its signature. */
  readonly manifestSha256: Uint8Array
  /** Unix seconds; may be infinite. */
  readonly publishedAt: number
  /** Unix seconds; may be infinite. */
  readonly expiresAt: number
}

/**
 * Why a stored manifest is not to be shown: it does not verify, its text cannot be read (`unreadable`), it is another
 * manifest than the registered one (`digest_mismatch`), or the registry would say of it what it does not say
 * (`record_mismatch`).
 */
export type IntegrityFailure = ManifestVerifyCode | "unreadable" | "digest_mismatch" | "record_mismatch"

const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

/**
 * Verifies a stored manifest again, from its text, and holds its row against it; undefined when all is well. Needs no
 * clock: expiry is not an offence, but the row may not say a later one than was signed. What the current profile would
 * refuse was tolerated at registration.
 */
export const integrityFailure = (stored: StoredManifest): IntegrityFailure | undefined => {
  const envelope = readManifestEnvelope(stored.manifestJson)
  if (Result.isFailure(envelope)) return "unreadable"
  const wire = envelope.success.manifest
  const lastSecond = typeof wire["expires_at"] === "number" ? wire["expires_at"] - 1 : 0
  const verified = verifyManifest(wire, { now: lastSecond, profile: "compat" })
  if (Result.isFailure(verified)) return verified.failure.verifyCode
  if (!isSame(manifestDigest(wire), stored.manifestSha256)) return "digest_mismatch"
  const { manifest } = verified.success
  const key = keyOfAid(manifest.aid)
  const agrees =
    stored.aid === manifest.aid &&
    stored.keyAlg === key.alg &&
    isSame(stored.keyRaw, key.raw) &&
    stored.displayName === (manifest.display_name ?? manifest.aid) &&
    stored.handshakeEndpoint === manifest.handshake_endpoint &&
    JSON.stringify(stored.offeredCaps) === JSON.stringify(manifest.offered_capabilities) &&
    stored.publishedAt === manifest.published_at &&
    stored.expiresAt <= manifest.expires_at
  return agrees ? undefined : "record_mismatch"
}
