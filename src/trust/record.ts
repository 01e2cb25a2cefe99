import { Schema } from "effect"
import type { PinnedKey, TrustAnchor } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** An issuer whose keys are trusted in a namespace. */
export const TrustAnchorRecord = Schema.Struct({
  id: Schema.String.annotate({ format: "uuid" }),
  namespace: Schema.String,
  /** As given, and compared so. */
  issuerUrl: Schema.String,
  /** Where the key set is; null: where the issuer's discovery document says. */
  jwksUrl: Schema.NullOr(Schema.String),
  label: Schema.NullOr(Schema.String),
  /** When the issuer last sent the cached key set, or last said that it is unchanged; null while none is cached. */
  jwksCachedAt: Schema.NullOr(Instant),
  /** Actor id. */
  addedBy: Schema.String,
  createdAt: Instant,
  updatedAt: Instant,
  /** Whether `jwksCachedAt` is longer ago than `JWKS_STALE_AFTER_MS`; the last good key set is served all the same. */
  jwksStale: Schema.Boolean,
  /** Why the last attempt to fetch the key set failed; null when it succeeded, and before the first one. */
  jwksError: Schema.NullOr(Schema.String)
}).annotate({ identifier: "TrustAnchor" })

/** A key that is trusted for one AID in a namespace. */
export const PinnedKeyRecord = Schema.Struct({
  namespace: Schema.String,
  /** As given; need not be an AID. */
  aid: Schema.String,
  /** base64url: 43 characters, or 44 for P-256. */
  pubkey: Schema.String,
  label: Schema.NullOr(Schema.String),
  /** The pin counts for nothing from then on; null: it never ends. */
  expiresAt: Schema.NullOr(Instant),
  /** Actor id of the first pin; kept when it is replaced. */
  addedBy: Schema.String,
  createdAt: Instant,
  updatedAt: Instant,
  /** Whether `pubkey` is the key in the AID; null when `aid` is no AID. */
  keyMatchesAid: Schema.NullOr(Schema.Boolean)
}).annotate({ identifier: "PinnedKey" })

/** An anchor as answers carry it. */
export const trustAnchorRecord = (
  anchor: TrustAnchor,
  jwksStale: boolean
): typeof TrustAnchorRecord.Type => ({
  id: anchor.id,
  namespace: anchor.namespace,
  issuerUrl: anchor.issuerUrl,
  jwksUrl: anchor.jwksUrl,
  label: anchor.label,
  jwksCachedAt: anchor.jwksCachedAt?.toISOString() ?? null,
  addedBy: anchor.addedBy,
  createdAt: anchor.createdAt.toISOString(),
  updatedAt: anchor.updatedAt.toISOString(),
  jwksStale,
  jwksError: anchor.jwksError
})

/** A pin as answers carry it. */
export const pinnedKeyRecord = (pin: PinnedKey): typeof PinnedKeyRecord.Type => ({
  namespace: pin.namespace,
  aid: pin.aid,
  pubkey: pin.pubkey,
  label: pin.label,
  expiresAt: pin.expiresAt?.toISOString() ?? null,
  addedBy: pin.addedBy,
  createdAt: pin.createdAt.toISOString(),
  updatedAt: pin.updatedAt.toISOString(),
  keyMatchesAid: pin.keyMatchesAid
})

/**
 * JSON of a flat record with its members in the order of the schema: the bytes of a replay must not hang on the order in
 * which stored facts come back.
 */
export const jsonOf = <F extends Schema.Struct.Fields>(
  schema: Schema.Struct<F>,
  record: Schema.Struct.Type<F>
): string => JSON.stringify(record, Object.keys(schema.fields))
