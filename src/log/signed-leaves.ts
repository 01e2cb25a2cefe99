import { TILE_WIDTH, widthIn } from "../client/log-tiles.ts"
import { hashesAt, perfectRoot, widthOf } from "./merkle.ts"
import type { TreeHead } from "./model.ts"
import { edgeOf } from "./tile.ts"
import { type FindTile, type StoredTile, TreeEdge } from "./TreeEdge.ts"

type Place = Pick<StoredTile, "level" | "index">

/** The tiles that tie these leaves to the root of a tree of `size` leaves. */
export const tilesAbove = (leaves: Iterable<number>, size: number): ReadonlyArray<Place> => {
  const places = new Map(edgeOf(size).map(({ index, level }) => [`${level}/${index}`, { level, index }]))
  let below = new Set(leaves)
  for (let level = 0; below.size > 0; level += 1) {
    const tiles = new Set(Array.from(below, (place) => Math.floor(place / TILE_WIDTH)))
    below = new Set([...tiles].filter((index) => widthIn(size, level, index) > 0))
    for (const index of below) places.set(`${level}/${index}`, { level, index })
  }
  return [...places.values()]
}

/**
 * Finds leaf hashes that a signed tree has; undefined for those that the stored tiles do not tie to its root. Every full
 * tile must hash to its place in the tile above, and the partial ones at the edge to the root.
 */
export const signedLeaves = (
  { root, size }: TreeHead,
  find: FindTile
): ((index: number) => Uint8Array | undefined) => {
  const edge = TreeEdge.of(size, find)
  const isWhole = edge !== undefined && Buffer.compare(edge.root(), root) === 0
  const known = new Map<string, boolean>()

  const isTied = (level: number, index: number): boolean => {
    const hashes = find(level, index)
    const width = widthIn(size, level, index)
    if (hashes === undefined || widthOf(hashes) < width) return false
    if (width < TILE_WIDTH) return isWhole
    const above = Math.floor(index / TILE_WIDTH)
    const wanted = hashesAt(find(level + 1, above) ?? new Uint8Array(0), index % TILE_WIDTH)
    return Buffer.compare(perfectRoot(hashes), wanted) === 0 && isTiedOnce(level + 1, above)
  }
  const isTiedOnce = (level: number, index: number): boolean => {
    const place = `${level}/${index}`
    const tied = known.get(place) ?? isTied(level, index)
    known.set(place, tied)
    return tied
  }

  return (index) => {
    const tile = Math.floor(index / TILE_WIDTH)
    return isTiedOnce(0, tile) ? hashesAt(find(0, tile) ?? new Uint8Array(0), index % TILE_WIDTH) : undefined
  }
}
