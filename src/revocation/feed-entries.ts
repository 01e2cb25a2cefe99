// The entries inside the text of a list, as `list-text.ts` cuts them out: canonical JSON, in order, joined by commas. Working
// on the bytes keeps 100,000 objects off the heap, and the digest of the entries is one of exactly these bytes.

import { createHash } from "node:crypto"
import type { RevocationEntry } from "../aitp/revocation-list.ts"

// A quotation mark inside a reason is escaped, so this stands nowhere but where an entry begins.
const JTI = Buffer.from('{"jti":"')
const JTI_LENGTH = 36

/** Where the entries begin, in their order. */
export function* entryOffsets(text: Buffer): Generator<number, void> {
  for (let at = text.indexOf(JTI); at !== -1; at = text.indexOf(JTI, at + JTI.length + JTI_LENGTH)) yield at
}

/** Id of the entry that begins at an offset. */
export const jtiAt = (text: Buffer, offset: number): string =>
  text.toString("latin1", offset + JTI.length, offset + JTI.length + JTI_LENGTH)

/** Hash of a JSON array, given as pieces of its elements. */
export class ArrayHash {
  readonly #hash = createHash("sha256").update("[")
  #isEmpty = true

  /** Elements joined by commas; at least one. */
  add(elements: string | Uint8Array): void {
    if (!this.#isEmpty) this.#hash.update(",")
    this.#hash.update(elements)
    this.#isEmpty = false
  }

  /** SHA-256 of the array. */
  digest(): Buffer {
    return this.#hash.update("]").digest()
  }
}

/** SHA-256 of the canonical JSON of the array of these entries. */
export const digestOfEntries = (text: Uint8Array): Buffer => {
  const hash = new ArrayHash()
  if (text.length > 0) hash.add(text)
  return hash.digest()
}

/** Entries indexed without a pause; about 3 ms. */
const STRIDE = 4096

/** The entries of one list, to look up by id and by place. */
export class IndexedEntries {
  readonly text: Buffer
  /** SHA-256 of the canonical JSON of the array. */
  readonly sha256: Buffer
  readonly #offsets: ReadonlyArray<number>
  readonly #places: ReadonlyMap<string, number>

  private constructor(
    text: Buffer,
    sha256: Buffer,
    offsets: ReadonlyArray<number>,
    places: ReadonlyMap<string, number>
  ) {
    this.text = text
    this.sha256 = sha256
    this.#offsets = offsets
    this.#places = places
  }

  /** Indexes the entries in steps, between which others may run. */
  static *build(text: Buffer, sha256: Buffer): Generator<undefined, IndexedEntries> {
    const offsets: Array<number> = []
    const places = new Map<string, number>()
    for (const offset of entryOffsets(text)) {
      places.set(jtiAt(text, offset), offsets.length)
      if (offsets.push(offset) % STRIDE === 0) yield
    }
    return new IndexedEntries(text, sha256, offsets, places)
  }

  get size(): number {
    return this.#offsets.length
  }

  /** The entry with this id, in lower case. */
  find(jti: string): RevocationEntry | undefined {
    const place = this.#places.get(jti)
    return place === undefined
      ? undefined
      : (JSON.parse(this.slice(place, place + 1).toString()) as RevocationEntry) // our own
  }

  /** Place of the entry with this id. */
  placeOf(jti: string): number | undefined {
    return this.#places.get(jti)
  }

  /** The first place whose entry does not come before the given one: where it stands, or would. */
  placeFor(entry: RevocationEntry): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      const offset = this.#offsets[middle]! // below the size
      const apart = this.#secondsAt(middle) - entry.revoked_at
      if (apart < 0 || (apart === 0 && jtiAt(this.text, offset) < entry.jti)) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The text from one place up to another, at least one entry; `to` is at most `size`. */
  slice(from: number, to: number): Buffer {
    return this.text.subarray(this.#offsets[from], this.#endBefore(to))
  }

  /** Where the entry before a place ends; a comma separates it from the next one. */
  #endBefore(place: number): number {
    const next = this.#offsets[place]
    return next === undefined ? this.text.length : next - 1
  }

  /** `revoked_at` is the last member, and its digits stand before the closing brace. */
  #secondsAt(place: number): number {
    const end = this.#endBefore(place + 1) - 1
    return Number(this.text.toString("latin1", this.text.lastIndexOf(":", end) + 1, end))
  }
}
