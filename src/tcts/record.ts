import { Schema } from "effect"
import type { Tct } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** A TCT (RFC-AITP-0005) as it was observed. Nothing in it says that the token is valid or may be relied on. */
export const TctRecord = Schema.Struct({
  /** Lower-case UUID; two issuers may use the same one. */
  jti: Schema.String,
  /** AID, as the best report spells it. */
  issuer: Schema.String,
  subject: Schema.String,
  /** The subject, unless another one was reported. */
  audience: Schema.String,
  grants: Schema.Array(Schema.String),
  /** RFC 7638 thumbprint of the key the token is bound to. */
  bindingCnf: Schema.NullOr(Schema.String),
  /** As claimed, else when it was reported. */
  issuedAt: Instant,
  expiresAt: Schema.NullOr(Instant),
  /** Session that issued it. */
  sessionId: Schema.NullOr(Schema.String),
  /** Somebody says so: see `revokedBy`. */
  revoked: Schema.Boolean,
  /** Earliest time anyone names. */
  revokedAt: Schema.NullOr(Instant),
  /** Who says that it is revoked: an operator here, a reported event, the issuer's own verified list. */
  revokedBy: Schema.Array(Schema.Literals(["operator", "report", "issuer"])),
  /** Reason that goes with `revokedAt`. */
  revokedReason: Schema.NullOr(Schema.String),
  /** Whether the token's signature verified under `issuer` and covers what is shown; null: no token was seen. */
  signatureVerified: Schema.NullOr(Schema.Boolean),
  /** Reports differ; a verified one is shown, else the earliest. */
  conflict: Schema.Boolean,
  /** Actor id of who made the report shown. */
  reportedBy: Schema.String
}).annotate({ identifier: "ObservedTct" })

/** A TCT as answers carry it. */
export const tctRecord = (tct: Tct): typeof TctRecord.Type => ({
  jti: tct.jti,
  issuer: tct.issuer,
  subject: tct.subject,
  audience: tct.audience,
  grants: tct.grants,
  bindingCnf: tct.bindingCnf,
  issuedAt: tct.issuedAt.toISOString(),
  expiresAt: tct.expiresAt?.toISOString() ?? null,
  sessionId: tct.sessionId,
  revoked: tct.revoked,
  revokedAt: tct.revokedAt?.toISOString() ?? null,
  revokedBy: tct.revokedBy,
  revokedReason: tct.revokedReason,
  signatureVerified: tct.signatureVerified,
  conflict: tct.conflict,
  reportedBy: tct.reportedBy
})

/** A TCT as exports carry it: with the parties under both names, and when it was first seen. */
export const TctExportRecord = Schema.Struct({
  ...TctRecord.fields,
  issuerAid: Schema.String,
  subjectAid: Schema.String,
  audienceAid: Schema.String,
  createdAt: Instant
}).annotate({ identifier: "ExportedTct" })

/** A TCT of an export. */
export const tctExport = (tct: Tct & { readonly createdAt: Date }): typeof TctExportRecord.Type => ({
  ...tctRecord(tct),
  issuerAid: tct.issuer,
  subjectAid: tct.subject,
  audienceAid: tct.audience,
  createdAt: tct.createdAt.toISOString()
})
