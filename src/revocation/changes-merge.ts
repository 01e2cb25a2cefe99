import type { RevocationEntry } from "../aitp/revocation-list.ts"

/** One change of the list, as it was kept when the version that made it was published. */
export interface Change {
  readonly jti: string
  /** Came onto the list, or left it. */
  readonly op: "+" | "-"
  /** Of the entry; Unix seconds. */
  readonly revokedAt: number
  readonly reason: string | null
}

/** What changes come to, both in the order of the list: what is removed leaves first, then what is added comes. */
export interface MergedChanges {
  readonly added: ReadonlyArray<RevocationEntry>
  /** As they were before. */
  readonly removed: ReadonlyArray<RevocationEntry>
}

/** Order of a list: by time, then by id. */
const byTimeAndId = (a: RevocationEntry, b: RevocationEntry): number =>
  a.revoked_at - b.revoked_at || (a.jti < b.jti ? -1 : Number(a.jti > b.jti))

const entryOf = ({ jti, reason, revokedAt }: Change): RevocationEntry => ({
  jti,
  revoked_at: revokedAt,
  ...(reason === null ? {} : { reason })
})

/**
 * Merges the changes of consecutive versions, given from the oldest on. Changes of one id alternate, so its first one tells
 * whether it was on the list before and its last one whether it is afterwards. An entry that left and came back may have
 * come back with another time: it is in both.
 */
export const mergeChanges = (changes: ReadonlyArray<Change>): MergedChanges => {
  const spans = new Map<string, { readonly first: Change; last: Change }>()
  for (const change of changes) {
    const span = spans.get(change.jti)
    if (span === undefined) spans.set(change.jti, { first: change, last: change })
    else span.last = change
  }
  const merged = [...spans.values()]
  return {
    added: merged.flatMap(({ last }) => (last.op === "+" ? [entryOf(last)] : [])).sort(byTimeAndId),
    removed: merged.flatMap(({ first }) => (first.op === "-" ? [entryOf(first)] : [])).sort(byTimeAndId)
  }
}
