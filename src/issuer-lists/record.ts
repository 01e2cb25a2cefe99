import { Schema } from "effect"
import type { IssuerList } from "./model.ts"
import { FAILURES } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** An agent's own revocation list and how mirroring it goes. Nothing here is said by this service about any token. */
export const IssuerListRecord = Schema.Struct({
  /** The issuer, as the agent spells it. */
  aid: Schema.String,
  /** Where its manifest says that the list is; null: nowhere any more. */
  uri: Schema.NullOr(Schema.String),
  /** Of the copy: `fresh` is served, `stale` has expired, `missing` has never been there. */
  state: Schema.Literals(["fresh", "stale", "missing"]),
  /** When the issuer last sent the copy, or last said that it is unchanged. */
  fetchedAt: Schema.NullOr(Instant),
  /** As the issuer signed them. */
  publishedAt: Schema.NullOr(Instant),
  expiresAt: Schema.NullOr(Instant),
  /** Different ids on the copy. */
  entries: Schema.NullOr(Schema.Int),
  /** What its signature covers: the list, or, with old SDKs, the list in its wrapper. */
  signingForm: Schema.NullOr(Schema.Literals(["inner", "wrapped"])),
  /** SHA-256 of the copy's bytes, base64url. */
  sha256: Schema.NullOr(Schema.String),
  /** Of the attempts since the last success; null when there were none. */
  failure: Schema.NullOr(
    Schema.Struct({
      kind: Schema.Literals(FAILURES),
      /** One line for people. */
      reason: Schema.String,
      /** Attempts in a row. */
      count: Schema.Int,
      since: Instant
    })
  ),
  /** When it is fetched again; null while nobody does: the agent is not active, or too many others name a list. */
  nextFetchAt: Schema.NullOr(Instant)
}).annotate({ identifier: "IssuerList" })

const instantOfSecs = (secs: number | undefined): string | null =>
  secs === undefined ? null : new Date(secs * 1000).toISOString()

/** A list as answers carry it. */
export const issuerListRecord = ({
  aid,
  copy,
  dueAt,
  failure,
  uri
}: IssuerList): typeof IssuerListRecord.Type => ({
  aid,
  uri,
  state: copy === null ? "missing" : copy.validForSecs > 0 ? "fresh" : "stale",
  fetchedAt: copy?.checkedAt.toISOString() ?? null,
  publishedAt: instantOfSecs(copy?.publishedAt),
  expiresAt: instantOfSecs(copy?.expiresAt),
  entries: copy?.entries ?? null,
  signingForm: copy?.form ?? null,
  sha256: copy === null ? null : Buffer.from(copy.sha256).toString("base64url"),
  failure: failure && {
    kind: failure.kind,
    reason: failure.reason,
    count: failure.count,
    since: failure.since.toISOString()
  },
  nextFetchAt: dueAt?.toISOString() ?? null
})
