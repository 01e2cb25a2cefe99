import { bytes, digest, literal, membersOf, uuid, whole } from "./fields.ts"
import { assertFresh, assertNotOlder, type Clock, type Dated } from "./freshness.ts"
import { decodeSet, RICE_PARAMETER } from "./golomb.ts"
import { RevocationRefused } from "./refusal.ts"
import { sha256 } from "./sha256.ts"
import { FEED_VERSION, openDocument } from "./signed-document.ts"

/** Compact form of one version of the list: knows for certain what is not on it. */
export interface RevocationFilter extends Dated {
  readonly issuer: string
  /** Version of the list it was made from. */
  readonly listVersion: number
  /** Entries of that list. */
  readonly entries: number
  /** SHA-256 of those entries; also the key of the hash. */
  readonly entriesSha256: string
  readonly key: Uint8Array<ArrayBuffer>
  /** Ascending, below `entries` · 2^20. */
  readonly values: Float64Array
}

const rangeOf = (entries: number): number => entries * 2 ** RICE_PARAMETER

/**
 * Reads a filter. Throws `MALFORMED`, `ISSUER` or `SIGNATURE`, and `STALE` when it is older than the filter that it is to
 * replace.
 */
export const readRevocationFilter = async (
  document: string,
  issuer: string,
  replaced?: Dated
): Promise<RevocationFilter> => {
  const body = membersOf(await openDocument(document, "revocation_filter", issuer), [
    "version",
    "issuer",
    "list_version",
    "published_at",
    "expires_at",
    "entries",
    "entries_sha256",
    "algorithm",
    "false_positive_rate",
    "data"
  ])
  literal(body, "version", FEED_VERSION)
  literal(body, "algorithm", "gcs-sha256-p20")
  literal(body, "false_positive_rate", "1/1048576")
  const dated = { publishedAt: whole(body, "published_at"), expiresAt: whole(body, "expires_at") }
  assertNotOlder(dated, replaced)
  const entries = whole(body, "entries")
  const values = decodeSet(bytes(body, "data"), entries, rangeOf(entries))
  if (values === undefined) throw new RevocationRefused("MALFORMED", "data is not a coded set")
  return {
    issuer,
    listVersion: whole(body, "list_version"),
    ...dated,
    entries,
    entriesSha256: digest(body, "entries_sha256"),
    key: bytes(body, "entries_sha256"),
    values
  }
}

/** SHA-256 over key and the 16 bytes of the id; its first 64 bits scaled to the range. */
const hash = async (key: Uint8Array<ArrayBuffer>, jti: string, range: number): Promise<number> => {
  const input = new Uint8Array(48)
  input.set(key)
  const hex = jti.replaceAll("-", "")
  for (let at = 0; at < 16; at += 1) input[32 + at] = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16)
  const first64 = new DataView((await sha256(input)).buffer).getBigUint64(0)
  return Number((first64 * BigInt(range)) >> 64n)
}

const includes = (ascending: Float64Array, value: number): boolean => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return ascending[low] === value
}

/**
 * False: the TCT is not on the list of this version. True: it is, or it is one of 1,048,576 that look as if; the exact
 * look-up tells. Throws `EXPIRED` or `STALE` when the filter may not answer any more.
 */
export const mightContain = async (filter: RevocationFilter, jti: string, clock: Clock): Promise<boolean> => {
  assertFresh(filter, clock)
  return includes(filter.values, await hash(filter.key, uuid(jti.toLowerCase()), rangeOf(filter.entries)))
}
