import { Effect } from "effect"
import type { Aid } from "../aitp/aid.ts"
import { protocolVersion } from "../aitp/fields.ts"
import { canonicalJson } from "../aitp/jcs.ts"

/**
 * The text of a list. It is put together from texts that are canonical already: writing a hundred thousand entries as
 * JSON once more would stall the process.
 *
 * `RevocationLists.readEntries` makes the entries, `{"jti":…,"reason":…,"revoked_at":…}`, ordered by (`revoked_at`,
 * `jti`) and joined by commas; what is compared here is that text, as Latin-1 characters standing for its UTF-8 bytes.
 */

const HEAD = '{"entries":['
/** What a served list has before the entries. */
const BODY_HEAD = `{"revocation_list":${HEAD}`
/** Cannot be part of an entry: inside JSON strings quotes are escaped. */
const TAIL = '],"expires_at":'
const FIRST = '{"jti":"'
const BETWEEN = '},{"jti":"'
const UUID_LENGTH = 36

/** What is signed: the canonical JSON (RFC 8785) of the list's body, around its entries. */
export const innerText = (
  entries: Uint8Array,
  list: { readonly issuer: Aid; readonly publishedAt: number; readonly expiresAt: number }
): Uint8Array =>
  Buffer.concat([
    Buffer.from(HEAD),
    entries,
    Buffer.from(
      `${TAIL}${list.expiresAt},"issuer":${canonicalJson(list.issuer)},"published_at":${list.publishedAt},` +
        `"version":${canonicalJson(protocolVersion)}}`
    )
  ])

/** The entries of a served list; undefined when it does not have the form that is written here. */
export const entriesOf = (body: Uint8Array): Uint8Array | undefined => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const end = bytes.lastIndexOf(TAIL)
  return bytes.subarray(0, BODY_HEAD.length).equals(Buffer.from(BODY_HEAD)) && end >= BODY_HEAD.length
    ? bytes.subarray(BODY_HEAD.length, end)
    : undefined
}

/** One entry after the other: each from the end of its `{"jti":"` on, up to its closing brace. */
class Cursor {
  readonly #text: string
  #start = 0
  #end = 0
  /** Undefined behind the last one. */
  entry: string | undefined

  constructor(entries: Uint8Array) {
    this.#text = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength).toString("latin1")
    this.#end = FIRST.length - BETWEEN.length
    this.advance()
  }

  advance(): void {
    this.#start = this.#end + BETWEEN.length
    if (this.#start > this.#text.length) return void (this.entry = undefined)
    const next = this.#text.indexOf(BETWEEN, this.#start)
    this.#end = next === -1 ? this.#text.length - 1 : next
    this.entry = this.#text.slice(this.#start, this.#end)
  }
}

const jtiOf = (entry: string): string => entry.slice(0, UUID_LENGTH)
const secondsOf = (entry: string): number => Number(entry.slice(entry.lastIndexOf(":") + 1))

/** Order of entries by time, then id. */
const order = (a: string, b: string): number =>
  secondsOf(a) - secondsOf(b) || (jtiOf(a) < jtiOf(b) ? -1 : jtiOf(a) > jtiOf(b) ? 1 : 0)

/** How one list differs from another. */
export interface Difference {
  /** Ids of the entries that only the new list has, in its order; one that reads otherwise is also in `removed`. */
  readonly added: ReadonlyArray<string>
  /** Ids of the entries that only the old list has. */
  readonly removed: ReadonlyArray<string>
  /** Entries of the new list. */
  readonly count: number
}

/** Entries compared in one go. */
const STRIDE = 10_000

/** Compares the entries of two lists, each in order. Gives way to other work in between. */
export const compareEntries = Effect.fnUntraced(function* (before: Uint8Array, after: Uint8Array) {
  const old = new Cursor(before)
  yield* Effect.yieldNow
  const now = new Cursor(after)
  const added: Array<string> = []
  const removed: Array<string> = []
  let count = 0
  for (let steps = 1; old.entry !== undefined || now.entry !== undefined; steps += 1) {
    if (steps % STRIDE === 0) yield* Effect.yieldNow
    const { entry: gone } = old
    const { entry: come } = now
    const place = gone === undefined ? 1 : come === undefined ? -1 : gone === come ? 0 : order(gone, come)
    if (gone !== undefined && (place < 0 || (place === 0 && gone !== come))) removed.push(jtiOf(gone))
    if (come !== undefined && (place > 0 || (place === 0 && gone !== come))) added.push(jtiOf(come))
    if (place <= 0) old.advance()
    if (place >= 0) {
      now.advance()
      count += 1
    }
  }
  return { added, removed, count } satisfies Difference
})
