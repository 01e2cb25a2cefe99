import { encodeBase64url } from "./base64url.ts"
import { canonicalJson } from "./canonical-json.ts"
import { membersOf, text, uuid, whole } from "./fields.ts"
import { RevocationRefused } from "./refusal.ts"
import { sha256 } from "./sha256.ts"

/** One revoked TCT, as signed. */
export interface RevocationEntry {
  /** Lower-case UUID. */
  readonly jti: string
  /** Unix seconds. */
  readonly revoked_at: number
  /** For people; never a decision input. */
  readonly reason?: string
}

const readEntry = (value: unknown): RevocationEntry => {
  const members = membersOf(value, ["jti", "revoked_at"], ["reason"])
  return {
    jti: uuid(members["jti"]),
    revoked_at: whole(members, "revoked_at"),
    ...(Object.hasOwn(members, "reason") ? { reason: text(members, "reason") } : {})
  }
}

/** Order of a list: by time, then by id. */
export const byTimeAndId = (a: RevocationEntry, b: RevocationEntry): number =>
  a.revoked_at - b.revoked_at || (a.jti < b.jti ? -1 : Number(a.jti > b.jti))

/** Entries in the order of a list, each `jti` once; in any other order they are refused. */
export const readEntries = (values: ReadonlyArray<unknown>): ReadonlyMap<string, RevocationEntry> => {
  const entries = new Map<string, RevocationEntry>()
  let last: RevocationEntry | undefined
  for (const value of values) {
    const entry = readEntry(value)
    if (entries.has(entry.jti) || (last !== undefined && byTimeAndId(last, entry) >= 0)) {
      throw new RevocationRefused("MALFORMED", "entries are not in order")
    }
    entries.set(entry.jti, entry)
    last = entry
  }
  return entries
}

/** SHA-256, base64url, of the canonical JSON of the entries in the order of a list. */
export const entriesDigest = async (entries: Iterable<RevocationEntry>): Promise<string> =>
  encodeBase64url(await sha256(canonicalJson([...entries].sort(byTimeAndId))))
