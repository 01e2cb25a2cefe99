import { createHash } from "node:crypto"
import { parseUuid } from "../aitp/ids.ts"
import { type Artifact, isCovered, readArtifact, type ReportedEvent } from "../events/artifact.ts"
import { codePointsExceed, firstSeconds, firstText, firstTexts, type Members } from "../events/members.ts"
import type { Token, Tokens } from "../events/tokens.ts"

/** What one event says about one delegation; null is not said. */
export interface DelegationContribution {
  /** Lower-case UUID. */
  readonly jti: string
  /** `jti` of the delegation it builds on, or of the TCT. */
  readonly parentJti: string
  /** The parties as spelled, ≤ 512 code points. */
  readonly delegator: string
  readonly delegatee: string
  readonly scope: ReadonlyArray<string> | null
  /** ms since 1970. */
  readonly issuedAt: number | null
  readonly expiresAt: number | null
  /** The token has no `jti`, so we made one of its text. */
  readonly synthetic: boolean
  /** Whether the token's signature covers the above; null: no token, or it was not checked. */
  readonly signatureVerified: boolean | null
  /** SHA-256 of the token, base64url. */
  readonly tokenSha256: string | null
}

const MAX_PARTY = 512

const TYP = "aitp-delegation+jwt"

const NOTHING: Members = {}

/** The id of a token that has none: UUIDv5 layout over SHA-1, as agents' tools compute it. */
export const syntheticJti = (token: string): string => {
  const bytes = createHash("sha1").update(`aitp-delegation:${token}`).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const chainOf = (claims: Members, tokens: Tokens): ReadonlyArray<Artifact> => {
  const { chain } = claims
  return Array.isArray(chain) ? chain.flatMap((hop) => readArtifact(hop, tokens) ?? []) : []
}

const ownJti = (claims: Members): string | null => firstText(claims["jti"], claims["child_jti"])

/** The `jti` of the TCT behind a voucher, bare or decoded. */
const voucherJti = (claims: Members | undefined, tokens: Tokens): string | null => {
  const voucher = readArtifact(claims?.["voucher"], tokens)?.claims
  return firstText(voucher?.["src_jti"], voucher?.["parent_jti"])
}

const madeJti = (token: Token | undefined): string | null =>
  token === undefined ? null : syntheticJti(token.text)

const readParent = (payload: Members, claims: Members, tokens: Tokens): string | null => {
  const chain = chainOf(claims, tokens)
  const last = chain.at(-1)
  return firstText(
    payload["parent_jti"],
    payload["parentJti"],
    payload["src_jti"],
    claims["src_jti"],
    claims["parent_jti"],
    claims["parentJti"],
    last && (ownJti(last.claims) ?? madeJti(last.token)),
    voucherJti(claims, tokens),
    voucherJti(chain[0]?.claims, tokens)
  )
}

const uuidOrNull = (text: string | null): string | null => parseUuid(text ?? "") ?? null

/** @param payload where ids and parties may stand beside the artifact */
const readClaims = (payload: Members, { claims, token }: Artifact, tokens: Tokens) => {
  const named = firstText(payload["jti"], payload["child_jti"], claims["jti"], claims["child_jti"])
  return {
    jti: uuidOrNull(named ?? madeJti(token)),
    synthetic: named === null,
    parentJti: uuidOrNull(readParent(payload, claims, tokens)),
    delegator: firstText(
      payload["delegator_aid"],
      payload["delegator"],
      claims["delegator"],
      claims["delegator_aid"],
      claims["iss"]
    ),
    delegatee: firstText(
      payload["delegatee_aid"],
      payload["delegatee"],
      claims["delegatee"],
      claims["delegatee_aid"],
      claims["sub"]
    ),
    scope: firstTexts(claims["scope"], claims["grants"], payload["scope"]),
    issuedAt: firstSeconds(claims["iat"], claims["issued_at"]),
    expiresAt: firstSeconds(claims["exp"], claims["expires_at"])
  }
}

const contribution = (
  payload: Members,
  artifact: Artifact,
  tokens: Tokens
): DelegationContribution | undefined => {
  const { synthetic, ...shown } = readClaims(payload, artifact, tokens)
  const { delegatee, delegator, jti, parentJti } = shown
  if (jti === null || parentJti === null || delegator === null || delegatee === null) return undefined
  if (codePointsExceed(MAX_PARTY, delegator) || codePointsExceed(MAX_PARTY, delegatee)) return undefined
  const { token } = artifact
  const signed = token?.claims && readClaims(NOTHING, { claims: token.claims, token }, tokens)
  return {
    ...shown,
    jti,
    parentJti,
    delegator,
    delegatee,
    synthetic,
    signatureVerified: isCovered(
      token,
      tokens,
      TYP,
      {
        ...shown,
        // A reporter may name what the token leaves open, and nothing else.
        jti: signed?.synthetic === true ? null : jti,
        parentJti: signed?.parentJti === null ? null : parentJti
      },
      signed
    ),
    tokenSha256: token?.digest ?? null
  }
}

/**
 * What a `delegation.issued` event says: the delegation, then the hops of its chain, each by itself. Undefined in the
 * place of one that lacks a UUID as `jti` or parent, or a party.
 */
export const delegationContributions = ({
  payload,
  tokens,
  type
}: ReportedEvent): ReadonlyArray<DelegationContribution | undefined> => {
  if (type !== "delegation.issued") return []
  const artifact =
    readArtifact(payload["tct"], tokens) ??
    readArtifact(payload["delegation"], tokens) ??
    readArtifact(payload, tokens)
  if (artifact === undefined) return [undefined]
  return [
    contribution(payload, artifact, tokens),
    ...hopContributions(chainOf(artifact.claims, tokens), tokens)
  ]
}

/** A hop's token carries the hops before it as its own chain; where it does not, they are known from the outer one. */
const hopContributions = (
  hops: ReadonlyArray<Artifact>,
  tokens: Tokens
): ReadonlyArray<DelegationContribution | undefined> =>
  hops.map((hop, index) => {
    const before = hops[index - 1]
    const parent = before && (ownJti(before.claims) ?? madeJti(before.token))
    const named = readParent(NOTHING, hop.claims, tokens)
    return contribution(named === null ? { parent_jti: parent } : NOTHING, hop, tokens)
  })
