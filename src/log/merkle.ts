import { hash } from "node:crypto"

/** The Merkle tree of RFC 6962 §2.1 over SHA-256, from the leaf hashes upwards. */

/** Bytes of a hash. */
export const HASH_BYTES = 32

/** Root of the tree without leaves: the hash of nothing. */
export const EMPTY_ROOT: Uint8Array = hash("sha256", "", "buffer")

// Filled and hashed in one go, never across a suspension.
const inner = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

/** Hash of an inner node: SHA-256(0x01 ‖ left ‖ right). */
export const hashChildren = (left: Uint8Array, right: Uint8Array): Uint8Array => {
  inner.set(left, 1)
  inner.set(right, 1 + HASH_BYTES)
  return hash("sha256", inner, "buffer")
}

/** How many hashes the bytes hold. */
export const widthOf = (hashes: Uint8Array): number => hashes.length / HASH_BYTES

/** A part of consecutive hashes; shares their memory. */
export const hashesAt = (hashes: Uint8Array, from: number, count = 1): Uint8Array =>
  hashes.subarray(from * HASH_BYTES, (from + count) * HASH_BYTES)

/** Root of a perfect tree over the given hashes, whose number is a power of two. */
export const perfectRoot = (hashes: Uint8Array): Uint8Array => {
  const width = widthOf(hashes)
  if (width === 1) return hashes
  const half = width / 2
  return hashChildren(perfectRoot(hashesAt(hashes, 0, half)), perfectRoot(hashesAt(hashes, half, half)))
}

/** Root of a tree cut into perfect subtrees, from left to right, each larger than the next. */
export const joinedRoot = (subtrees: ReadonlyArray<Uint8Array>): Uint8Array =>
  subtrees.length === 0 ? EMPTY_ROOT : subtrees.reduceRight((right, left) => hashChildren(left, right))
