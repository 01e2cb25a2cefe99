import { RevocationRefused } from "./refusal.ts"

/** Greatest age of a document, seconds, unless the reader allows another (RFC-AITP-0008 §3). */
export const MAX_AGE_SECS = 300

/** When a document was signed and until when it may be used; Unix seconds. */
export interface Dated {
  readonly publishedAt: number
  readonly expiresAt: number
}

/** `STALE` for a document that was signed before the one it is to replace: caches and replicas may lag. */
export const assertNotOlder = ({ publishedAt }: Dated, held: Dated | undefined): void => {
  if (held !== undefined && publishedAt < held.publishedAt) {
    throw new RevocationRefused("STALE", "document is older than the one held")
  }
}

/** The reader's clock and patience. */
export interface Clock {
  /** Unix seconds. */
  readonly now: number
  /** Greatest age by `published_at`, seconds; 300 unless given. */
  readonly maxAgeSecs?: number
}

/**
 * Throws when a document counts as absent: `EXPIRED` from `expires_at` on, `STALE` when older than the reader allows. What
 * happens then is the reader's policy; the default of the protocol is to refuse the TCT.
 */
export const assertFresh = (
  { expiresAt, publishedAt }: Dated,
  { maxAgeSecs = MAX_AGE_SECS, now }: Clock
): void => {
  if (expiresAt <= now) throw new RevocationRefused("EXPIRED", "document has expired")
  if (now - publishedAt > maxAgeSecs) throw new RevocationRefused("STALE", "document is too old")
}
