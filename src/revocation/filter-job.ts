import { entryOffsets, jtiAt } from "./feed-entries.ts"
import { codedSet } from "./filter-set.ts"

/** Entries of a list as `list-text.ts` cuts them out, and the digest that keys the hash. */
export interface FilterJob {
  readonly text: Uint8Array
  readonly sha256: Uint8Array
}

/** The coded set of the ids of these entries. */
export const setOf = ({ sha256, text }: FilterJob): Uint8Array => {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  return codedSet(
    Array.from(entryOffsets(bytes), (offset) => jtiAt(bytes, offset)),
    sha256
  )
}
