import { Schema } from "effect"
import type { SnapshotForm } from "../aitp/revocation-list.ts"

/**
 * Largest list, in bytes: one of 100,000 entries with an id and a time each has 7.1 MB. A list has no pages and no deltas
 * (RFC-AITP-0008), so what is larger is not mirrored at all.
 */
export const MAX_LIST_BYTES = 8_388_608

/** Most entries of a list, the size for which the service's own list is made. */
export const MAX_ENTRIES = 100_000

/**
 * Revocations that may be new in one agent's lists within a day: the largest list, and as many again. They are kept for
 * ever, and whoever registers an agent could otherwise fill the database with them.
 */
export const MAX_NEW_PER_DAY = 2 * MAX_ENTRIES

/** Agents whose lists are mirrored at the same time; together their copies take at most 8 GB. */
export const MAX_LISTS = 1000

/**
 * Why an attempt came to nothing: refused by the guard; no complete answer; an answer other than 200; no list; not signed
 * by the issuer it names; another agent's; past its `expires_at`; older than the copy; with too many new entries for a day;
 * without entries of the copy whose tokens may still be valid.
 */
export const FAILURES = [
  "refused",
  "unreachable",
  "status",
  "invalid",
  "signature",
  "issuer",
  "expired",
  "rolled_back",
  "excess",
  "shrunk"
] as const

export type FailureKind = (typeof FAILURES)[number]

/** The attempt gave nothing to serve; `reason` is one line that may be shown to operators. */
export class ListUnusable extends Schema.TaggedError<ListUnusable>()("ListUnusable", {
  kind: Schema.Literals(FAILURES),
  reason: Schema.String
}) {}

/** Where an agent's manifest says that its list is. */
export interface ListPlace {
  readonly uri: string
  /** Host and port, to be asked one list at a time; empty when `uri` is no URL. */
  readonly host: string
}

/** A list that verifies, as far as the list alone can tell. */
export interface SoundList {
  /** Unix seconds, as signed. */
  readonly publishedAt: number
  readonly expiresAt: number
  /** Different ids. */
  readonly entries: number
  readonly form: SnapshotForm
  /** Of the bytes as received. */
  readonly sha256: Uint8Array
  /** Of the entries in one order, whatever the order of the list. */
  readonly entriesSha256: Uint8Array
  /** The ids as the text of a `uuid[]`. */
  readonly ids: string
  /** The entries in JSON arrays of at most 1000, for `record_issuer_revocations_v1`. */
  readonly chunks: ReadonlyArray<string>
}

/** The last good copy of a list, without its bytes. */
export interface ListCopy {
  readonly sha256: Uint8Array
  readonly publishedAt: number
  readonly expiresAt: number
  readonly entries: number
  readonly form: SnapshotForm
  /** When the issuer last sent it, or last said that it is unchanged. */
  readonly checkedAt: Date
  /** Seconds since `checkedAt`, and to `expiresAt`, by the database's clock; the latter is negative afterwards. */
  readonly ageSecs: number
  readonly validForSecs: number
}

/** The list of an agent and how fetching it goes. */
export interface IssuerList {
  /** As the agent spells it. */
  readonly aid: string
  /** Null when the agent's present manifest names no list any more. */
  readonly uri: string | null
  /** Null until there is one. */
  readonly copy: ListCopy | null
  /** Of the attempts since the last success; null when there were none. */
  readonly failure: {
    readonly kind: FailureKind
    readonly reason: string
    readonly count: number
    readonly since: Date
  } | null
  /** Null while nobody fetches it. */
  readonly dueAt: Date | null
}
