import { canonicalJson } from "../aitp/jcs.ts"
import type { RevocationEntry } from "../aitp/revocation-list.ts"
import type { MergedChanges } from "./changes-merge.ts"
import { ArrayHash, type IndexedEntries } from "./feed-entries.ts"

const isSame = (a: RevocationEntry, b: RevocationEntry | undefined): boolean =>
  b !== undefined && a.revoked_at === b.revoked_at && a.reason === b.reason

/** Whether the entries are such as these changes leave behind. */
const isResult = (entries: IndexedEntries, { added, removed }: MergedChanges): boolean => {
  const came = new Set(added.map(({ jti }) => jti))
  return (
    added.every((entry) => isSame(entry, entries.find(entry.jti))) &&
    removed.every(({ jti }) => came.has(jti) || entries.placeOf(jti) === undefined)
  )
}

/**
 * SHA-256 of the entries as they were before the changes that led to `entries`; undefined when these changes cannot have
 * led there. At 100,000 entries this takes about 10 ms, which is the hash.
 */
export const digestBefore = (entries: IndexedEntries, changes: MergedChanges): Buffer | undefined => {
  if (!isResult(entries, changes)) return undefined
  // What came is cut out, what went is put back, in one pass; the sort is stable, so what went stays in order.
  const edits = [
    ...changes.added.map(({ jti }) => ({ place: entries.placeOf(jti)!, text: undefined })), // isResult has found it
    ...changes.removed.map((entry) => ({ place: entries.placeFor(entry), text: canonicalJson(entry) }))
  ].sort((a, b) => a.place - b.place)

  const hash = new ArrayHash()
  let next = 0
  const copyUpTo = (place: number) => {
    if (place > next) hash.add(entries.slice(next, place))
    next = Math.max(next, place)
  }
  for (const { place, text } of edits) {
    copyUpTo(place)
    if (text === undefined) next = place + 1
    else hash.add(text)
  }
  copyUpTo(entries.size)
  return hash.digest()
}
