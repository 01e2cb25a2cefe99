import { Schema } from "effect"

/** An issuer whose keys are trusted in a namespace. Its key set is kept apart, see `KeySets`. */
export interface TrustAnchor {
  /** UUIDv7, lower case. */
  readonly id: string
  readonly namespace: string
  /** As given, and compared so. */
  readonly issuerUrl: string
  /** Where the key set is; null: where the issuer's discovery document says. */
  readonly jwksUrl: string | null
  readonly label: string | null
  /** When the issuer last sent the cached key set, or last said that it is unchanged; null while there is none. */
  readonly jwksCachedAt: Date | null
  /** Why the last attempt to fetch it failed; null when it succeeded, and before the first one. */
  readonly jwksError: string | null
  /** Actor id. */
  readonly addedBy: string
  readonly createdAt: Date
  /** Of the last act; fetching keys is none. */
  readonly updatedAt: Date
}

/** A key that is trusted for one AID in a namespace, whatever anybody else says. */
export interface PinnedKey {
  readonly namespace: string
  /** As given; need not be an AID. */
  readonly aid: string
  /** base64url, 43 or 44 characters. */
  readonly pubkey: string
  /** Whether it is the key in the AID; null when `aid` is no AID. */
  readonly keyMatchesAid: boolean | null
  readonly label: string | null
  /** The pin counts for nothing from then on; null: it never ends. */
  readonly expiresAt: Date | null
  /** Actor id of the first pin; kept when it is replaced. */
  readonly addedBy: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** No trust anchor that the caller may see has this id. */
export class TrustAnchorNotFound extends Schema.TaggedError<TrustAnchorNotFound>()(
  "TrustAnchorNotFound",
  {}
) {}

/** Another anchor of the namespace has this issuer. */
export class TrustAnchorExists extends Schema.TaggedError<TrustAnchorExists>()("TrustAnchorExists", {
  id: Schema.String
}) {}

/** The strict profile refuses it; `message` names the member and may be shown. */
export class TrustRefused extends Schema.TaggedError<TrustRefused>()("TrustRefused", {
  message: Schema.String
}) {}

/** The namespace belongs to an organisation that the caller may not see. */
export class NamespaceNotVisible extends Schema.TaggedError<NamespaceNotVisible>()(
  "NamespaceNotVisible",
  {}
) {}

/** No key is pinned for this AID in this namespace. */
export class PinNotFound extends Schema.TaggedError<PinNotFound>()("PinNotFound", {}) {}

export const DEFAULT_NAMESPACE = "default"

/** Longest issuer, in characters and in UTF-8 bytes, and longest URL of a key set, in characters. */
export const MAX_URL = 2048

/** Longest label, in code points. */
export const MAX_LABEL = 128

/** Longest `aid` of a pin, in code points. */
export const MAX_AID = 512
