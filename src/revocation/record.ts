import { Schema } from "effect"
import type { RevocationEntry } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

const Ids = Schema.Array(Schema.String)

/** An entry of the operator deny list. */
export const EntryRecord = Schema.Struct({
  /** Lower-case UUID. */
  jti: Schema.String,
  revokedAt: Instant,
  /** For people. */
  reason: Schema.NullOr(Schema.String),
  /** AID the operator named, else who was observed to have issued the TCT; null while nobody knows. */
  issuer: Schema.NullOr(Schema.String),
  createdAt: Instant
}).annotate({ identifier: "RevocationEntry" })

/** An entry as answers carry it. */
export const entryRecord = (entry: RevocationEntry): typeof EntryRecord.Type => ({
  jti: entry.jti,
  revokedAt: entry.revokedAt.toISOString(),
  reason: entry.reason,
  issuer: entry.issuer,
  createdAt: entry.createdAt.toISOString()
})

/** How much an entry revokes of what was observed. */
export const CascadeCounts = Schema.Struct({
  /** TCTs with the id, one for each issuer that is said to have used it. */
  tcts: Schema.Int,
  /** The delegation with the id, if there is one, and all below it. */
  delegations: Schema.Int
})

/** Ids an entry revokes; at most 1000 of each kind, `counts` has all. */
export const CascadeRecord = Schema.Struct({
  tcts: Ids,
  delegations: Ids,
  counts: CascadeCounts
}).annotate({ identifier: "RevocationCascade" })

/** What the answer to a revocation is rendered from. */
export const RevokedFacts = Schema.Struct({
  jti: Schema.String,
  revokedAt: Instant,
  reason: Schema.NullOr(Schema.String),
  issuer: Schema.NullOr(Schema.String),
  /** An entry was there before; everything else is as it was then. */
  alreadyRevoked: Schema.Boolean,
  cascade: CascadeRecord
})

/** Answer to a revocation. */
export const RevokedRecord = RevokedFacts.mapFields((fields) => ({
  ...fields,
  /** First version of the signed list that knows the entry; null when none was published within 3 s. */
  listVersion: Schema.NullOr(Schema.Int)
})).annotate({ identifier: "Revoked" })
