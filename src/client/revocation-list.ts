import { entriesDigest, readEntries, type RevocationEntry } from "./entries.ts"
import { list, literal, membersOf, uuid, whole } from "./fields.ts"
import { assertFresh, assertNotOlder, type Clock, type Dated } from "./freshness.ts"
import { openDocument } from "./signed-document.ts"

/** The control plane's deny list as a reader holds it. Immutable: a delta gives another one. */
export interface HeldList extends Dated {
  /** AID of the control plane. */
  readonly issuer: string
  /** What the next delta is asked `after`; undefined for a list read in full, which does not tell its version. */
  readonly version: number | undefined
  /** By `jti`. */
  readonly entries: ReadonlyMap<string, RevocationEntry>
  /** SHA-256 of the entries; what the next delta must start from. */
  readonly entriesSha256: string
}

/**
 * Reads the full list. Throws `MALFORMED`, `ISSUER` or `SIGNATURE`, and `STALE` when it is older than the list that it is to
 * replace.
 */
export const readRevocationList = async (
  document: string,
  issuer: string,
  replaced?: Dated
): Promise<HeldList> => {
  const body = membersOf(await openDocument(document, "revocation_list", issuer), [
    "version",
    "issuer",
    "published_at",
    "expires_at",
    "entries"
  ])
  literal(body, "version", "aitp/0.2")
  const entries = readEntries(list(body, "entries"))
  const dated = { publishedAt: whole(body, "published_at"), expiresAt: whole(body, "expires_at") }
  assertNotOlder(dated, replaced)
  return {
    issuer,
    version: undefined,
    ...dated,
    entries,
    entriesSha256: await entriesDigest(entries.values())
  }
}

/** Whether the TCT is on the list. Throws `EXPIRED` or `STALE` when the list may not answer any more. */
export const isRevoked = (held: HeldList, jti: string, clock: Clock): boolean => {
  assertFresh(held, clock)
  return held.entries.has(uuid(jti.toLowerCase()))
}
