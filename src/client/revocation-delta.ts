import { byTimeAndId, entriesDigest, readEntries, type RevocationEntry } from "./entries.ts"
import { digest, list, literal, membersOf, uuid, whole } from "./fields.ts"
import type { Dated } from "./freshness.ts"
import { RevocationRefused } from "./refusal.ts"
import type { HeldList } from "./revocation-list.ts"
import { FEED_VERSION, openDocument } from "./signed-document.ts"

/** What changed between two versions of the list. */
export interface RevocationDelta extends Dated {
  readonly from: number
  readonly to: number
  /** SHA-256 of the entries of version `from`. */
  readonly prevSha256: string
  /** SHA-256 of the entries of version `to`. */
  readonly entriesSha256: string
  /** By `jti`. */
  readonly added: ReadonlyMap<string, RevocationEntry>
  readonly removed: ReadonlySet<string>
}

const readRemoved = (values: ReadonlyArray<unknown>): ReadonlySet<string> => {
  const removed = new Set<string>()
  let last = ""
  for (const value of values) {
    const jti = uuid(value)
    if (jti <= last) throw new RevocationRefused("MALFORMED", "removed is not in order")
    removed.add(jti)
    last = jti
  }
  return removed
}

/** Reads a delta. Throws `MALFORMED`, `ISSUER` or `SIGNATURE`. */
export const readRevocationDelta = async (document: string, issuer: string): Promise<RevocationDelta> => {
  const body = membersOf(await openDocument(document, "revocation_delta", issuer), [
    "version",
    "issuer",
    "from",
    "to",
    "published_at",
    "expires_at",
    "prev_sha256",
    "entries_sha256",
    "added",
    "removed"
  ])
  literal(body, "version", FEED_VERSION)
  return {
    from: whole(body, "from"),
    to: whole(body, "to"),
    publishedAt: whole(body, "published_at"),
    expiresAt: whole(body, "expires_at"),
    prevSha256: digest(body, "prev_sha256"),
    entriesSha256: digest(body, "entries_sha256"),
    added: readEntries(list(body, "added")),
    removed: readRemoved(list(body, "removed"))
  }
}

const broken = (message: string) => new RevocationRefused("CHAIN", message)

/** Removes, then adds: an entry that left and came back with another time is in both. */
const changed = (
  { entries }: HeldList,
  { added, removed }: RevocationDelta
): ReadonlyMap<string, RevocationEntry> => {
  if (added.size === 0 && removed.size === 0) return entries
  const kept = [...entries.values()].filter(({ jti }) => !removed.has(jti))
  if (kept.length !== entries.size - removed.size) throw broken("removes an entry that is not held")
  const next = new Map([...kept, ...added.values()].sort(byTimeAndId).map((entry) => [entry.jti, entry]))
  if (next.size !== kept.length + added.size) throw broken("adds an entry that is held")
  return next
}

/**
 * The list after a delta; its entries are, as canonical JSON, byte for byte those of the full list of version `to`. A list
 * read in full takes any delta that starts from its entries. Throws what {@link readRevocationDelta} throws, and `CHAIN`
 * when the delta does not continue the list held: then the full list is to be taken.
 */
export const applyRevocationDelta = async (held: HeldList, document: string): Promise<HeldList> => {
  const delta = await readRevocationDelta(document, held.issuer)
  if (delta.from !== (held.version ?? delta.from)) throw broken("does not start at the version held")
  if (delta.to < delta.from) throw broken("leads backwards")
  if (delta.prevSha256 !== held.entriesSha256) throw broken("does not start from the entries held")
  if (delta.publishedAt < held.publishedAt) throw broken("is older than the list held")
  const entries = changed(held, delta)
  const entriesSha256 = entries === held.entries ? held.entriesSha256 : await entriesDigest(entries.values())
  if (entriesSha256 !== delta.entriesSha256) throw broken("does not lead to the entries signed")
  return {
    issuer: held.issuer,
    version: delta.to,
    publishedAt: delta.publishedAt,
    expiresAt: delta.expiresAt,
    entries,
    entriesSha256
  }
}
