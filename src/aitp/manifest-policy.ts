// What this registry asks of a Manifest beyond the protocol. Apply it after `verifyManifest`, so that a protocol failure
// is reported as such.

import { Data, Result } from "effect"
import type { Manifest } from "./manifest.ts"

/** A local guard refused. Has no `verifyCode`: no peer and no SDK would refuse this Manifest. */
export class ManifestPolicyRefused extends Data.TaggedError("ManifestPolicyRefused")<{
  readonly protocolCode: "MANIFEST_INVALID" | "MANIFEST_TTL_TOO_SHORT"
  readonly message: string
}> {}

/** Tolerated clock difference, and the least remaining validity, in seconds. */
export const marginSecs = 300

/** End of the year 9999: later instants have no ISO 8601 form that databases and clients share. */
const lastInstant = 253_402_300_799

// Column widths, in code points.
const aidLimit = 512
const displayNameLimit = 256

const refuse = (protocolCode: ManifestPolicyRefused["protocolCode"], message: string) =>
  Result.fail(new ManifestPolicyRefused({ protocolCode, message }))

/** Checks a verified Manifest against the local guards; `now` in Unix seconds. */
export const checkManifestPolicy = (
  manifest: Manifest,
  now: number
): Result.Result<void, ManifestPolicyRefused> => {
  if (manifest.published_at > now + marginSecs) {
    return refuse("MANIFEST_INVALID", `published_at is more than ${marginSecs} s ahead`)
  }
  if (manifest.expires_at <= manifest.published_at) {
    return refuse("MANIFEST_INVALID", "expires_at is not after published_at")
  }
  if (manifest.expires_at < now + marginSecs) {
    return refuse("MANIFEST_TTL_TOO_SHORT", `expires_at is less than ${marginSecs} s ahead`)
  }
  if (manifest.expires_at > lastInstant) {
    return refuse("MANIFEST_INVALID", "expires_at is beyond the year 9999")
  }
  if (manifest.aid.length > aidLimit) return refuse("MANIFEST_INVALID", `aid is longer than ${aidLimit}`)
  if ([...(manifest.display_name ?? "")].length > displayNameLimit) {
    return refuse("MANIFEST_INVALID", `display_name is longer than ${displayNameLimit}`)
  }
  for (const member of ["aid", "display_name", "handshake_endpoint"] as const) {
    if (manifest[member]?.includes("\0") === true) return refuse("MANIFEST_INVALID", `${member} holds a NUL`)
  }
  if (manifest.offered_capabilities.some((capability) => capability.includes("\0"))) {
    return refuse("MANIFEST_INVALID", "offered_capabilities holds a NUL")
  }
  return Result.void
}
