import { keyOfAid, formatAid, parseAid } from "../aitp/aid.ts"
import { parseUuid } from "../aitp/ids.ts"
import { type Artifact, isCovered, readArtifact, type ReportedEvent } from "../events/artifact.ts"
import {
  codePointsExceed,
  firstSeconds,
  firstText,
  firstTexts,
  isMembers,
  type Members
} from "../events/members.ts"
import type { Tokens } from "../events/tokens.ts"

/** What one event says about one TCT; null is not said. */
export interface TctContribution {
  /** Lower-case UUID. */
  readonly jti: string
  /** The issuer in one spelling; a text that is no AID stands for itself. */
  readonly issuerKey: string
  /** The parties as spelled, ≤ 512 code points. */
  readonly issuer: string
  readonly subject: string
  readonly audience: string | null
  readonly grants: ReadonlyArray<string> | null
  readonly bindingCnf: string | null
  /** ms since 1970. */
  readonly issuedAt: number | null
  readonly expiresAt: number | null
  readonly sessionId: string | null
  /** Whether the token's signature covers all of the above except `sessionId`; null: no token, or it was not checked. */
  readonly signatureVerified: boolean | null
  /** SHA-256 of the token, base64url. */
  readonly tokenSha256: string | null
}

/** Longest party, in code points: parties are indexed, and an index has a limit. */
const MAX_PARTY = 512

const TYP = "aitp-tct+jwt"

const withTcts: ReadonlySet<string> = new Set(["handshake.complete", "tct.issued", "tct.renewal.issued"])

/** The TCTs an event carries: `tcts`, else `tct`, of the payload, else of the event itself. */
export const tctArtifacts = ({
  item,
  payload,
  tokens,
  type
}: ReportedEvent): ReadonlyArray<Artifact | undefined> => {
  if (!withTcts.has(type)) return []
  for (const { tct, tcts } of [payload, item]) {
    if (Array.isArray(tcts)) return tcts.map((each) => readArtifact(each, tokens))
    const one = readArtifact(tct, tokens)
    if (one !== undefined) return [one]
  }
  return []
}

/** One spelling for each key: both Ed25519 forms of an AID give the same text. */
export const issuerKeyOf = (issuer: string): string => {
  const aid = parseAid(issuer)
  if (aid === undefined) return issuer
  const { alg, raw } = keyOfAid(aid)
  return formatAid(alg, raw)
}

/** Issuer and subject of a TCT's claims, in any accepted spelling. */
export const partiesOf = (claims: Members) => ({
  issuer: firstText(claims["iss"], claims["issuer"], claims["issuer_aid"], claims["issuerAid"]),
  subject: firstText(claims["sub"], claims["subject"], claims["subject_aid"], claims["subjectAid"])
})

const readClaims = (claims: Members) => {
  const { binding, cnf } = claims
  return {
    jti: parseUuid(firstText(claims["jti"]) ?? "") ?? null,
    ...partiesOf(claims),
    audience: firstText(claims["aud"], claims["audience"], claims["audience_aid"], claims["audienceAid"]),
    grants: firstTexts(claims["grants"]),
    bindingCnf: firstText(isMembers(cnf) ? cnf["jkt"] : cnf, isMembers(binding) ? binding["cnf"] : undefined),
    issuedAt: firstSeconds(claims["iat"], claims["issued_at"]),
    expiresAt: firstSeconds(claims["exp"], claims["expires_at"])
  }
}

/** What an artifact says about a TCT; undefined without a UUID as `jti`, an issuer and a subject. */
export const tctContribution = (
  { claims, token }: Artifact,
  sessionId: string | null,
  tokens: Tokens
): TctContribution | undefined => {
  const shown = readClaims(claims)
  const { issuer, jti, subject } = shown
  if (jti === null || issuer === null || subject === null) return undefined
  if ([issuer, subject, shown.audience ?? ""].some((party) => codePointsExceed(MAX_PARTY, party)))
    return undefined
  return {
    ...shown,
    jti,
    issuer,
    subject,
    issuerKey: issuerKeyOf(issuer),
    sessionId,
    signatureVerified: isCovered(token, tokens, TYP, shown, token?.claims && readClaims(token.claims)),
    tokenSha256: token?.digest ?? null
  }
}
