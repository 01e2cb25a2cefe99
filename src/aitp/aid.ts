// Agent IDs (RFC-AITP-0001 §5.3). The AID is the key: no look-up is needed to check a signature under it.

import { Schema } from "effect"
import { encodeBase64url } from "./base64url.ts"
import { type CanonicalKey, type KeyAlg, type PublicKey, publicKey } from "./keys.ts"

/** How an AID is spelled; `untagged` is the legacy Ed25519 form and names the same key as `ed25519`. */
export type AidForm = "untagged" | "ed25519" | "p256"

const grammar = /^aid:pubkey:(?:(ed25519|p256):)?([A-Za-z0-9_-]{43,44})$/u

interface AidParts {
  readonly form: AidForm
  readonly key: PublicKey
}

const parse = (text: string): AidParts | undefined => {
  const match = grammar.exec(text)
  if (match === null) return undefined
  const form = (match[1] ?? "untagged") as AidForm // the grammar knows no other tag
  const key = publicKey(form === "p256" ? "p256" : "ed25519", match[2] ?? "")
  return key === undefined ? undefined : { form, key }
}

/**
 * An agent's identifier, verbatim: `aid:pubkey:<43>`, `aid:pubkey:ed25519:<43>` or `aid:pubkey:p256:<44>`, whose key is
 * canonical base64url of a valid curve point (Ed25519: not of small order). Proves nothing about who holds the key.
 */
export const Aid = Schema.String.check(
  Schema.isPattern(grammar, { expected: "an AID" }),
  Schema.makeFilter((text: string) => parse(text) !== undefined, { expected: "an AID with a valid key" })
).pipe(Schema.brand("Aid"))
export type Aid = typeof Aid.Type

export const isAid = (text: string): text is Aid => parse(text) !== undefined

/** `text` as an AID, or `undefined` when it is none. */
export const parseAid = (text: string): Aid | undefined => (isAid(text) ? text : undefined)

const partsOf = (aid: Aid): AidParts => {
  const parts = parse(aid)
  if (parts === undefined) throw new TypeError("not an AID: the brand was forced")
  return parts
}

/** The checked public key inside an AID. */
export const keyOfAid = (aid: Aid): PublicKey => partsOf(aid).key

export const formOfAid = (aid: Aid): AidForm => partsOf(aid).form

/** The AID of a raw public key (32 or 33 bytes); throws a TypeError when the key is not acceptable. */
export const formatAid = (
  alg: KeyAlg,
  raw: Uint8Array,
  form: AidForm = alg === "p256" ? "p256" : "untagged"
): Aid => {
  const text = `aid:pubkey:${form === "untagged" ? "" : `${form}:`}${encodeBase64url(raw)}`
  const aid = parseAid(text)
  if (aid === undefined || keyOfAid(aid).alg !== alg) throw new TypeError(`not a valid ${alg} key`)
  return aid
}

/** Algorithm and raw key: equal for both Ed25519 spellings of one key, hence the column to put a unique constraint on. */
export const canonicalKey = (aid: Aid): CanonicalKey => {
  const { alg, raw } = keyOfAid(aid)
  return { alg, raw: raw.slice() }
}

/**
 * True when both are AIDs of one key, whatever their spelling. Texts that are no AIDs equal nothing. Keys of different
 * algorithms differ in length, hence in their encoding.
 */
export const sameKey = (a: string, b: string): boolean => {
  const left = parse(a)
  const right = parse(b)
  return left !== undefined && right !== undefined && left.key.encoded === right.key.encoded
}

/** Every AID of the same key, this one first: two for Ed25519, one for P-256. */
export const spellingsOf = (aid: Aid): ReadonlyArray<Aid> => {
  const { form, key } = partsOf(aid)
  return form === "p256"
    ? [aid]
    : [aid, formatAid("ed25519", key.raw, form === "untagged" ? "ed25519" : "untagged")]
}
