import { Result } from "effect"
import type { JsonObject } from "../aitp/json.ts"
import { type ManifestEnvelope, readManifestEnvelope } from "../aitp/manifest-envelope.ts"
import { checkManifestPolicy } from "../aitp/manifest-policy.ts"
import type { EnrollmentProfile } from "../aitp/manifest-profile.ts"
import { type Manifest, manifestDigest, verifyManifest } from "../aitp/manifest.ts"
import { EnrollmentBodyInvalid, ManifestUnacceptable } from "./model.ts"

/** A manifest that passed the protocol's checks and the registry's own. */
export interface AcceptedManifest {
  readonly manifest: Manifest
  /** SHA-256 of the canonical manifest with its signature. */
  readonly digest: Uint8Array
  readonly findings: ReadonlyArray<string>
}

const unacceptable = (message: string) =>
  new ManifestUnacceptable({ message, verifyCode: "malformed", protocolCode: "MANIFEST_INVALID" })

/**
 * Takes the manifest out of a received body. A body that is JSON but holds no manifest is a manifest error, unless
 * `noManifest` makes another one of it.
 */
export const openEnvelope = (
  body: Uint8Array,
  noManifest: (message: string) => EnrollmentBodyInvalid | ManifestUnacceptable = unacceptable
): Result.Result<ManifestEnvelope, EnrollmentBodyInvalid | ManifestUnacceptable> =>
  Result.mapError(readManifestEnvelope(body), ({ message, offence }) => {
    switch (offence) {
      case "syntax":
      case "bom":
      case "utf8":
      case "depth":
        return new EnrollmentBodyInvalid({ message })
      case "not_an_object":
        return Buffer.from(body).toString("latin1").trim() === "null"
          ? new EnrollmentBodyInvalid({ message })
          : noManifest(message)
      case "no_manifest":
        return noManifest(message)
      case "duplicate_name":
      case "lone_surrogate":
      case "number_range":
        return unacceptable(message)
    }
  })

/**
 * Verifies a manifest in protocol order, then against the registry's limits. At most two signature checks.
 * @param now Unix seconds
 */
export const acceptManifest = (
  wire: JsonObject,
  profile: EnrollmentProfile,
  now: number
): Result.Result<AcceptedManifest, ManifestUnacceptable> => {
  const verified = verifyManifest(wire, { now, profile })
  if (Result.isFailure(verified)) {
    const { message, protocolCode, verifyCode } = verified.failure
    return Result.fail(new ManifestUnacceptable({ message, verifyCode, protocolCode }))
  }
  const { findings, manifest } = verified.success
  const policy = checkManifestPolicy(manifest, now)
  if (Result.isFailure(policy)) {
    const { message, protocolCode } = policy.failure
    return Result.fail(new ManifestUnacceptable({ message, protocolCode }))
  }
  return Result.succeed({ manifest, digest: manifestDigest(wire), findings })
}
