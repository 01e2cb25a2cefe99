// Signed documents derived from the published list. docs/revocation-feeds.md is their format.

import { Schema } from "effect"
import { Aid } from "../aitp/aid.ts"
import { Digest, PositiveSeconds, Seconds, SignatureText } from "../aitp/fields.ts"
import { Uuid } from "../aitp/ids.ts"
import { RevocationEntry } from "../aitp/revocation-list.ts"
import { FALSE_POSITIVE_RATE, FILTER_ALGORITHM } from "./filter-set.ts"

/** Literal of these formats. They are this control plane's own; no AITP artifact has this version. */
export const FEED_VERSION = "aitp-cp/1" as const

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Members of every document: whose list, and the times of the version it speaks of. */
const common = {
  version: Schema.Literal(FEED_VERSION),
  /** AID of this control plane. */
  issuer: Aid,
  /** `published_at` of the list. */
  published_at: Seconds,
  /** `expires_at` of the list; from this second on the document counts as absent. */
  expires_at: PositiveSeconds
}

/** These members for a version of the list. */
export const commonMembers = (
  issuer: Aid,
  list: { readonly publishedAt: number; readonly expiresAt: number }
) => ({ version: FEED_VERSION, issuer, published_at: list.publishedAt, expires_at: list.expiresAt })

/** What changed between two versions of the list. */
export const DeltaBody = Schema.Struct({
  ...common,
  /** Version the changes start from. */
  from: Count,
  /** Version they lead to; never below `from`. */
  to: Count,
  /** SHA-256 of the canonical JSON of the entries of `from`, base64url. */
  prev_sha256: Digest,
  /** The same of `to`. */
  entries_sha256: Digest,
  /** In the order of the list; to be applied after `removed`. */
  added: Schema.Array(RevocationEntry),
  /** Ids, ascending. */
  removed: Schema.Array(Schema.String)
})

/** All ids of one version of the list as a coded set. */
export const FilterBody = Schema.Struct({
  ...common,
  list_version: Count,
  /** Entries of the list, hence values of the set. */
  entries: Count,
  /** SHA-256 of the canonical JSON of the entries, base64url; its bytes are the key of the hash. */
  entries_sha256: Digest,
  algorithm: Schema.Literal(FILTER_ALGORITHM),
  false_positive_rate: Schema.Literal(FALSE_POSITIVE_RATE),
  /** The coded set, base64url. */
  data: Schema.String
})

/** What one version of the list says about one id. */
export const StatusBody = Schema.Struct({
  ...common,
  list_version: Count,
  jti: Uuid,
  revoked: Schema.Boolean,
  /** Only when revoked. */
  revoked_at: Schema.optionalKey(Seconds),
  /** Only when revoked for a stated reason; for people. */
  reason: Schema.optionalKey(Schema.String)
})

const signature = { signature: SignatureText }

export const RevocationDelta = Schema.Struct({ revocation_delta: DeltaBody, ...signature }).annotate({
  identifier: "RevocationDelta"
})
export const RevocationFilter = Schema.Struct({ revocation_filter: FilterBody, ...signature }).annotate({
  identifier: "RevocationFilter"
})
export const RevocationStatus = Schema.Struct({ revocation_status: StatusBody, ...signature }).annotate({
  identifier: "RevocationStatus"
})
