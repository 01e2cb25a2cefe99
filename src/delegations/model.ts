/** A delegation as it was reported (contract §6.8). Observed, not judged. */
export interface Delegation {
  /** Lower-case UUID. */
  readonly jti: string
  /** `jti` of the delegation it builds on; of a first hop, that of the TCT. */
  readonly parentJti: string
  /** The parties as the best report spells them. */
  readonly delegator: string
  readonly delegatee: string
  readonly scope: ReadonlyArray<string>
  /** As claimed, else when it was reported. */
  readonly issuedAt: Date
  readonly expiresAt: Date | null
  readonly revoked: boolean
  /** Time of the earliest fact about itself, else of the earliest about an ancestor. */
  readonly revokedAt: Date | null
  /** `explicit` when there is a fact about itself. */
  readonly revokedReason: "explicit" | "parent_revoked" | null
  /** `jti` was made by us from the token, which has none. */
  readonly synthetic: boolean
  /** True: the token's signature verified and covers what it names of this. Null: no token was seen. */
  readonly signatureVerified: boolean | null
  /** Reports differ in a claim; a verified one is shown, else the earliest. */
  readonly conflict: boolean
}

/** A page of delegations; absent filters match everything. */
export interface DelegationQuery {
  /** Lower-case UUID: direct children only. */
  readonly parentJti: string | undefined
  /** Exact, as spelled. */
  readonly delegator: string | undefined
  readonly delegatee: string | undefined
  /** Only those neither revoked nor past `expiresAt`. */
  readonly active: boolean
  readonly limit: number
  readonly offset: number
  /** Continue behind this delegation. */
  readonly after: { readonly issuedAt: Date; readonly jti: string } | undefined
}
