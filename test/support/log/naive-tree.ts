import { createHash } from "node:crypto"

/** RFC 6962 §2.1, word by word and from all leaves each time. */

export type Hash = Buffer

const sha256 = (...parts: ReadonlyArray<Uint8Array>): Hash =>
  createHash("sha256").update(Buffer.concat(parts)).digest()

const children = (left: Hash, right: Hash): Hash => sha256(Buffer.from([1]), left, right)

const splitOf = (n: number): number => {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/** The leaf hash of an entry. */
export const leafOf = (entry: string | Uint8Array): Hash => sha256(Buffer.from([0]), Buffer.from(entry))

/** MTH(D[n]) over leaf hashes. */
export const rootOf = (leaves: ReadonlyArray<Hash>): Hash => {
  const [only] = leaves
  if (only === undefined) return sha256()
  if (leaves.length === 1) return only
  const k = splitOf(leaves.length)
  return children(rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k)))
}

/** PATH(m, D[n]). */
export const pathOf = (m: number, leaves: ReadonlyArray<Hash>): ReadonlyArray<Hash> => {
  if (leaves.length <= 1) return []
  const k = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
  return m < k ? [...pathOf(m, left), rootOf(right)] : [...pathOf(m - k, right), rootOf(left)]
}

const subproof = (m: number, leaves: ReadonlyArray<Hash>, complete: boolean): ReadonlyArray<Hash> => {
  if (m === leaves.length) return complete ? [] : [rootOf(leaves)]
  const k = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
  return m <= k
    ? [...subproof(m, left, complete), rootOf(right)]
    : [...subproof(m - k, right, false), rootOf(left)]
}

/** PROOF(m, D[n]), 0 < m ≤ n. */
export const proofOf = (m: number, leaves: ReadonlyArray<Hash>): ReadonlyArray<Hash> =>
  subproof(m, leaves, true)

/** The hashes of every tile of C2SP tlog-tiles, by `level/index`, computed from the definition. */
export const tilesOf = (leaves: ReadonlyArray<Hash>): ReadonlyMap<string, Buffer> => {
  const tiles = new Map<string, Buffer>()
  for (let level = 0, span = 1; span <= leaves.length; level += 1, span *= 256) {
    const hashes = Array.from({ length: Math.floor(leaves.length / span) }, (_, i) =>
      rootOf(leaves.slice(i * span, (i + 1) * span))
    )
    for (let at = 0; at < hashes.length; at += 256)
      tiles.set(`${level}/${at / 256}`, Buffer.concat(hashes.slice(at, at + 256)))
  }
  return tiles
}
