import { flag, literal, membersOf, text, uuid, whole } from "./fields.ts"
import { assertFresh, type Clock, type Dated } from "./freshness.ts"
import { RevocationRefused } from "./refusal.ts"
import { FEED_VERSION, openDocument } from "./signed-document.ts"

/** What one version of the list says about one TCT. */
export interface RevocationStatus extends Dated {
  readonly issuer: string
  readonly jti: string
  readonly listVersion: number
  readonly revoked: boolean
  /** Unix seconds; only when revoked. */
  readonly revokedAt?: number
  /** For people; never a decision input. */
  readonly reason?: string
}

/** What was asked, and of whom. */
export interface StatusQuestion extends Clock {
  /** AID of the control plane. */
  readonly issuer: string
  readonly jti: string
  /** The answer must be of this version of the list or a later one: that of the filter which had a hit. */
  readonly listVersion?: number
}

/**
 * Reads the answer about one TCT. Throws `MALFORMED`, `ISSUER` or `SIGNATURE`, also for an answer about another TCT, and
 * `EXPIRED` or `STALE` for one that may not answer any more.
 */
export const readRevocationStatus = async (
  document: string,
  { issuer, jti, listVersion = 0, ...clock }: StatusQuestion
): Promise<RevocationStatus> => {
  const body = membersOf(
    await openDocument(document, "revocation_status", issuer),
    ["version", "issuer", "jti", "list_version", "revoked", "published_at", "expires_at"],
    ["revoked_at", "reason"]
  )
  literal(body, "version", FEED_VERSION)
  if (uuid(body["jti"]) !== jti.toLowerCase())
    throw new RevocationRefused("MALFORMED", "is about another TCT")
  const revoked = flag(body, "revoked")
  if (revoked !== Object.hasOwn(body, "revoked_at") || (!revoked && Object.hasOwn(body, "reason"))) {
    throw new RevocationRefused("MALFORMED", "contradicts itself")
  }
  const status = {
    issuer,
    jti: text(body, "jti"),
    listVersion: whole(body, "list_version"),
    publishedAt: whole(body, "published_at"),
    expiresAt: whole(body, "expires_at"),
    revoked,
    ...(revoked ? { revokedAt: whole(body, "revoked_at") } : {}),
    ...(Object.hasOwn(body, "reason") ? { reason: text(body, "reason") } : {})
  }
  if (status.listVersion < listVersion) throw new RevocationRefused("STALE", "is of an older list")
  assertFresh(status, clock)
  return status
}
