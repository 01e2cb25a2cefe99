import { Schema } from "effect"

/** What an operator has revoked; entries are never changed or removed. */
export interface RevocationEntry {
  /** Lower-case UUID. */
  readonly jti: string
  readonly revokedAt: Date
  /** ≤ 500 code points; for people. */
  readonly reason: string | null
  /** As the operator named it, else the issuer of an observed TCT with this id. */
  readonly issuer: string | null
  readonly createdAt: Date
}

/** A page of entries; absent filters match everything. */
export interface EntryQuery {
  /** Any of these spellings. */
  readonly issuers: ReadonlyArray<string> | undefined
  /** Created at this time or later. */
  readonly since: Date | undefined
  readonly limit: number
  readonly offset: number
  /** Continue behind this entry. */
  readonly after: { readonly createdAt: Date; readonly jti: string } | undefined
}

/** What an operator asks for. */
export interface Revocation {
  /** Lower-case UUID. */
  readonly jti: string
  readonly reason: string | null
  /** AID; undefined: whoever was observed to have issued the TCT. */
  readonly issuer: string | undefined
  /** Not in the future. */
  readonly revokedAt: Date
}

/** Ids shown of each kind in a cascade; `counts` has all of them. */
export const MAX_SHOWN = 1000

/** What an entry revokes of what was observed; arrays hold at most `MAX_SHOWN` ids. */
export interface Cascade {
  /** TCTs with the id: one for each issuer that is said to have used it. */
  readonly tcts: ReadonlyArray<string>
  /** The delegation with the id, if there is one, and all below it. */
  readonly delegations: ReadonlyArray<string>
  readonly counts: { readonly tcts: number; readonly delegations: number }
}

/** A published version of the signed list, as it is served. */
export interface ListSnapshot {
  /** From 1, without gaps. */
  readonly version: number
  /** Unix seconds, strictly increasing with `version`. */
  readonly publishedAt: number
  /** Unix seconds; from then on it may not be served. */
  readonly expiresAt: number
  /** Number of entries. */
  readonly entries: number
  /** Position of the ledger up to which it knows all entries. */
  readonly coversSeq: number
  /** Whether its entries differ from those of the version before. */
  readonly changed: boolean
  /** SHA-256 of `body`. */
  readonly sha256: Uint8Array
  /** The signed text in UTF-8, and the same compressed. */
  readonly body: Uint8Array
  readonly gzip: Uint8Array
  readonly br: Uint8Array
}

/** No list may be served now: there is none, it has expired, or a newer one is known but cannot be had. */
export class ListUnavailable extends Schema.TaggedError<ListUnavailable>()("ListUnavailable", {}) {}

/** A new list that must not be published; the one before it stays. */
export class ListRefused extends Schema.TaggedError<ListRefused>()("ListRefused", {
  message: Schema.String
}) {}
