// The Merkle tree of RFC 6962 §2.1, as those see it who verify it.

import { equalBytes } from "./log-base64.ts"
import { LogRefused } from "./log-refusal.ts"
import { sha256 } from "./sha256.ts"

export type Hash = Uint8Array<ArrayBuffer>

/** Bytes of a hash. */
export const HASH_BYTES = 32

/** SHA-256(0x00 ‖ entry). */
export const leafHash = (entry: Uint8Array): Promise<Hash> => {
  const bytes = new Uint8Array(1 + entry.length)
  bytes.set(entry, 1)
  return sha256(bytes)
}

/** SHA-256(0x01 ‖ left ‖ right). */
export const hashChildren = (left: Uint8Array, right: Uint8Array): Promise<Hash> => {
  const bytes = new Uint8Array(1 + 2 * HASH_BYTES)
  bytes[0] = 1
  bytes.set(left, 1)
  bytes.set(right, 1 + HASH_BYTES)
  return sha256(bytes)
}

/** Root of the perfect tree over these hashes, whose number is a power of two. */
export const perfectRoot = async (hashes: ReadonlyArray<Hash>): Promise<Hash> => {
  let row = hashes
  while (row.length > 1) {
    const children = row
    row = await Promise.all(
      Array.from({ length: children.length / 2 }, (_, at) =>
        hashChildren(children[2 * at]!, children[2 * at + 1]!)
      ) // both exist
    )
  }
  return row[0]! // no tree without leaves is perfect
}

const isOdd = (n: number): boolean => n % 2 === 1
const half = (n: number): number => Math.floor(n / 2)
const isPowerOfTwo = (n: number): boolean => (n > 1 && !isOdd(n) ? isPowerOfTwo(n / 2) : n === 1)

const unproven = (message: string) => new LogRefused("PROOF", message)

/** A leaf's place in a tree, and the hashes from its sibling up to a child of the root. */
export interface InclusionProof {
  readonly index: number
  readonly size: number
  readonly hashes: ReadonlyArray<Uint8Array>
}

/** Throws `PROOF` unless the leaf is in the tree with this root (RFC 9162 §2.1.3.2). */
export const verifyInclusion = async (
  { hashes, index, size }: InclusionProof,
  leaf: Uint8Array,
  root: Uint8Array
): Promise<void> => {
  if (index >= size) throw unproven("the leaf is beyond the end of the tree")
  let [node, last] = [index, size - 1]
  let hash = leaf
  for (const sibling of hashes) {
    if (last === 0) throw unproven("the proof is too long")
    if (isOdd(node) || node === last) {
      hash = await hashChildren(sibling, hash)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else hash = await hashChildren(hash, sibling)
    ;[node, last] = [half(node), half(last)]
  }
  if (last !== 0) throw unproven("the proof is too short")
  if (!equalBytes(hash, root)) throw unproven("the proof does not lead to the signed root")
}

/** Throws `PROOF` unless the second tree extends the first (RFC 9162 §2.1.4.2). */
export const verifyConsistency = async (
  first: { readonly size: number; readonly root: Uint8Array },
  second: { readonly size: number; readonly root: Uint8Array },
  hashes: ReadonlyArray<Uint8Array>
): Promise<void> => {
  if (first.size > second.size) throw unproven("the first tree is larger than the second")
  if (first.size === 0 || first.size === second.size) {
    if (hashes.length > 0) throw unproven("the proof should be empty")
    if (first.size > 0 && !equalBytes(first.root, second.root)) throw unproven("trees of one size differ")
    return
  }
  // A first tree that is a perfect subtree of the second needs no proof of its own root.
  const path = isPowerOfTwo(first.size) ? [first.root, ...hashes] : hashes
  let [node, last] = [first.size - 1, second.size - 1]
  while (isOdd(node)) [node, last] = [half(node), half(last)]
  const [start, ...rest] = path
  if (start === undefined) throw unproven("the proof is too short")
  let [old, now] = [start, start]
  for (const hash of rest) {
    if (last === 0) throw unproven("the proof is too long")
    if (isOdd(node) || node === last) {
      old = await hashChildren(hash, old)
      now = await hashChildren(hash, now)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else now = await hashChildren(now, hash)
    ;[node, last] = [half(node), half(last)]
  }
  if (last !== 0) throw unproven("the proof is too short")
  if (!equalBytes(old, first.root)) throw unproven("the proof does not start at the first tree")
  if (!equalBytes(now, second.root)) throw unproven("the proof does not lead to the second tree")
}
