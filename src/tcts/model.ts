/** Who says that something is revoked: an operator's entry, a reported event, the issuer's own verified list. */
export type RevocationSource = "operator" | "report" | "issuer"

/** A TCT as it was reported (contract §6.7). Observed, not judged: nothing here says that it is valid. */
export interface Tct {
  /** Lower-case UUID; unique per issuer at best. */
  readonly jti: string
  /** The parties as the best report spells them. */
  readonly issuer: string
  readonly subject: string
  /** The subject, unless something else was reported. */
  readonly audience: string
  readonly grants: ReadonlyArray<string>
  /** RFC 7638 thumbprint of the bound key. */
  readonly bindingCnf: string | null
  /** As claimed, else when it was reported. */
  readonly issuedAt: Date
  readonly expiresAt: Date | null
  /** Session that issued it. */
  readonly sessionId: string | null
  readonly revoked: boolean
  /** Time of the earliest fact. */
  readonly revokedAt: Date | null
  /** In alphabetical order. */
  readonly revokedBy: ReadonlyArray<RevocationSource>
  /** Reason of the earliest fact. */
  readonly revokedReason: string | null
  /** True: the token's signature verified and covers everything but `sessionId`. Null: no token was seen. */
  readonly signatureVerified: boolean | null
  /** Reports differ in a claim; a verified one is shown, else the earliest. */
  readonly conflict: boolean
  /** Actor id of who made the report shown. */
  readonly reportedBy: string
}

/** A `Tct` of a list, with the rest of its sort key. */
export interface ListedTct extends Tct {
  /** The issuer in one spelling. */
  readonly issuerKey: string
}

/** A page of TCTs; absent filters match everything. */
export interface TctQuery {
  /** Exact, as spelled. */
  readonly issuer: string | undefined
  readonly subject: string | undefined
  readonly audience: string | undefined
  /** Member of the grants. */
  readonly capability: string | undefined
  readonly sessionId: string | undefined
  /** Lower-case UUID. */
  readonly jti: string | undefined
  /** Only those neither revoked nor past `expiresAt`. */
  readonly active: boolean
  readonly limit: number
  readonly offset: number
  /** Continue behind this TCT. */
  readonly after: { readonly issuedAt: Date; readonly jti: string; readonly issuerKey: string } | undefined
}
