import { hashesAt, perfectRoot, widthOf } from "./merkle.ts"
import { TILE_WIDTH } from "../client/log-tiles.ts"
import { TILE_HEIGHT } from "./tile.ts"
import type { FindTile } from "./TreeEdge.ts"

/** Proofs of RFC 6962 §2.1, planned as ranges of leaves and computed from tiles. */

/** Leaves from `start` up to, without it, `end`. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** Where the hash of a perfect subtree is computed from: `count` hashes of a tile from `from` on. */
export interface Slice {
  readonly level: number
  readonly index: number
  readonly from: number
  readonly count: number
}

/** Height of the largest perfect tree with at most so many leaves, of which there is at least one. */
const heightWithin = (leaves: number): number => {
  let height = 0
  while (2 ** (height + 1) <= leaves) height += 1
  return height
}

/** Leaves in the left subtree of a tree with at least two: the largest power of two below their number. */
const leftOf = (leaves: number): number => 2 ** heightWithin(leaves - 1)

/** The subtrees whose roots prove that a leaf is in a tree, from the leaf's sibling up (RFC 6962 §2.1.1). */
export const inclusionPath = (index: number, size: number): ReadonlyArray<Range> => {
  const path: Array<Range> = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + leftOf(end - start)
    if (index < middle) {
      path.push({ start: middle, end })
      end = middle
    } else {
      path.push({ start, end: middle })
      start = middle
    }
  }
  return path.toReversed()
}

/** The subtrees whose roots prove that a tree extends an older one, 0 ≤ from ≤ to (RFC 6962 §2.1.2). */
export const consistencyPath = (from: number, to: number): ReadonlyArray<Range> => {
  if (from === 0 || from === to) return []
  const path: Array<Range> = []
  let start = 0
  let end = to
  while (from !== end) {
    const middle = start + leftOf(end - start)
    if (from <= middle) {
      path.push({ start: middle, end })
      end = middle
    } else {
      path.push({ start, end: middle })
      start = middle
    }
  }
  // The older tree itself is not named: who checks the proof has its root.
  if (start > 0) path.push({ start, end })
  return path.toReversed()
}

/** The perfect subtrees of a range of a proof, from left to right. */
export const slicesOf = ({ end, start }: Range): ReadonlyArray<Slice> => {
  const slices: Array<Slice> = []
  let at = start
  while (at < end) {
    const height = heightWithin(end - at)
    const level = Math.floor(height / TILE_HEIGHT)
    const first = at / TILE_WIDTH ** level
    slices.push({
      level,
      index: Math.floor(first / TILE_WIDTH),
      from: first % TILE_WIDTH,
      count: 2 ** (height % TILE_HEIGHT)
    })
    at += 2 ** height
  }
  return slices
}

/** The tiles that the hashes of these subtrees are computed from, each once. */
export const tilesFor = (
  slices: ReadonlyArray<Slice>
): ReadonlyArray<{ readonly level: number; readonly index: number }> => {
  const tiles = new Map(slices.map(({ index, level }) => [`${level}/${index}`, { level, index }]))
  return [...tiles.values()]
}

/** The hash of a perfect subtree; throws when its tile is missing or too short, which no stored tree may be. */
export const sliceRoot = ({ count, from, index, level }: Slice, find: FindTile): Uint8Array => {
  const tile = find(level, index)
  if (tile === undefined || widthOf(tile) < from + count)
    throw new Error(`tile ${level}/${index} is incomplete`)
  return perfectRoot(hashesAt(tile, from, count))
}
