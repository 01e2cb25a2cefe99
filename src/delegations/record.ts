import { Schema } from "effect"
import type { Delegation } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** A delegation (RFC-AITP-0006) as it was observed. Nothing in it says that it is valid or may be relied on. */
export const DelegationRecord = Schema.Struct({
  /** Lower-case UUID. */
  jti: Schema.String,
  /** Delegation it builds on; of a first hop, the `jti` of the TCT. Need not be known here. */
  parentJti: Schema.String,
  /** AID, as the best report spells it. */
  delegator: Schema.String,
  delegatee: Schema.String,
  scope: Schema.Array(Schema.String),
  /** As claimed, else when it was reported. */
  issuedAt: Instant,
  expiresAt: Schema.NullOr(Instant),
  /** It, or something it builds on, is said to be revoked. */
  revoked: Schema.Boolean,
  revokedAt: Schema.NullOr(Instant),
  /** `explicit`: named itself; wins over `parent_revoked`. */
  revokedReason: Schema.NullOr(Schema.Literals(["explicit", "parent_revoked"])),
  /** The token names no `jti`: this one was made of it. */
  synthetic: Schema.Boolean,
  /** Whether the token's signature verified under `delegator` and covers what is shown; null: no token was seen. */
  signatureVerified: Schema.NullOr(Schema.Boolean),
  /** Reports differ; a verified one is shown, else the earliest. */
  conflict: Schema.Boolean,
  /** Steps from the root; in trees only. */
  depth: Schema.optionalKey(Schema.Int)
}).annotate({ identifier: "Delegation" })

/** A delegation as lists carry it; `DelegationTrees` makes the same in SQL. */
export const delegationRecord = (delegation: Delegation): typeof DelegationRecord.Type => ({
  jti: delegation.jti,
  parentJti: delegation.parentJti,
  delegator: delegation.delegator,
  delegatee: delegation.delegatee,
  scope: delegation.scope,
  issuedAt: delegation.issuedAt.toISOString(),
  expiresAt: delegation.expiresAt?.toISOString() ?? null,
  revoked: delegation.revoked,
  revokedAt: delegation.revokedAt?.toISOString() ?? null,
  revokedReason: delegation.revokedReason,
  synthetic: delegation.synthetic,
  signatureVerified: delegation.signatureVerified,
  conflict: delegation.conflict
})
