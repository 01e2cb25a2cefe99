// Where Manifests in the field depart from RFC-AITP-0003 §3, and which departures the `compat` profile lives with.

import type { Manifest } from "./manifest.ts"
import { isPrivateHttpUrl } from "./private-host.ts"

/** `strict` follows the RFC without exception; `compat` tolerates what deployed SDKs are known to emit, and says so. */
export type EnrollmentProfile = "strict" | "compat"

/** `EXTRA_ENVELOPE_MEMBERS` is about the envelope and comes from `readManifestEnvelope`. */
export type ConformanceFinding =
  | "EMPTY_TRUST_ANCHORS"
  | "ENDPOINT_NOT_HTTPS"
  | "DISPLAY_NAME_LONG"
  | "EXTRA_ENVELOPE_MEMBERS"

interface Departure {
  readonly finding: ConformanceFinding
  /** Whether `compat` accepts it. */
  readonly tolerable: boolean
  readonly message: string
}

/** Departures from the RFC that the Manifest schema lets through, in the order of its members. */
export const departuresOf = (manifest: Manifest): ReadonlyArray<Departure> => {
  const found: Array<Departure> = []
  // More UTF-16 units than 128 is necessary for more code points; counting those is for the rare long name.
  const name = manifest.display_name ?? ""
  if (name.length > 128 && [...name].length > 128) {
    found.push({
      finding: "DISPLAY_NAME_LONG",
      tolerable: true,
      message: "display_name: at most 128 characters"
    })
  }
  const endpoint = manifest.handshake_endpoint
  if (!endpoint.startsWith("https://") || !URL.canParse(endpoint)) {
    found.push({
      finding: "ENDPOINT_NOT_HTTPS",
      tolerable: isPrivateHttpUrl(endpoint),
      message: "handshake_endpoint: an https URL"
    })
  }
  if (manifest.accepted_trust_anchors.length === 0) {
    found.push({
      finding: "EMPTY_TRUST_ANCHORS",
      tolerable: manifest.identity_hint.type === "pinned_key",
      message: "accepted_trust_anchors: at least one URI"
    })
  }
  return found
}
