import { hashesAt, hashChildren, EMPTY_ROOT, HASH_BYTES, perfectRoot, widthOf } from "./merkle.ts"
import { TILE_WIDTH } from "../client/log-tiles.ts"
import { edgeOf, TILE_HEIGHT } from "./tile.ts"

/** A tile as it is stored: all hashes of it there are. */
export interface StoredTile {
  readonly level: number
  readonly index: number
  readonly hashes: Uint8Array
}

/** Finds the stored hashes of a tile; they may be more than a smaller tree has there. */
export type FindTile = (level: number, index: number) => Uint8Array | undefined

const NOTHING = new Uint8Array(0)

/** Sizes of the perfect subtrees that so many hashes fall into, from right to left. */
const partsOf = (width: number): ReadonlyArray<number> =>
  Array.from({ length: TILE_HEIGHT }, (_, bit) => 1 << bit).filter((part) => (width & part) !== 0)

/**
 * All that is needed of a tree to append to it: its size and the partial tiles at its right edge. Never changes; appending
 * gives another one.
 */
export class TreeEdge {
  readonly size: number
  /** Hashes of the partial tile of each level, 0…255. */
  readonly #partial: ReadonlyArray<Uint8Array>

  private constructor(size: number, partial: ReadonlyArray<Uint8Array>) {
    this.size = size
    this.#partial = partial
  }

  static readonly empty = new TreeEdge(0, [])

  /** The edge of a stored tree; undefined when a tile is missing or too short. */
  static of(size: number, find: FindTile): TreeEdge | undefined {
    const partial: Array<Uint8Array> = []
    for (const { index, level, width } of edgeOf(size)) {
      const hashes = find(level, index)
      if (hashes === undefined || widthOf(hashes) < width) return undefined
      while (partial.length < level) partial.push(NOTHING)
      partial.push(hashesAt(hashes, 0, width))
    }
    return new TreeEdge(size, partial)
  }

  /** RFC 6962 root hash. */
  root(): Uint8Array {
    let root: Uint8Array | undefined
    for (const hashes of this.#partial) {
      let end = widthOf(hashes)
      for (const part of partsOf(end)) {
        end -= part
        const left = perfectRoot(hashesAt(hashes, end, part))
        root = root === undefined ? left : hashChildren(left, root)
      }
    }
    return root ?? EMPTY_ROOT
  }

  /** The tree with further leaf hashes, and every tile that changes by them. */
  append(leaves: Uint8Array): { readonly edge: TreeEdge; readonly tiles: ReadonlyArray<StoredTile> } {
    const size = this.size + widthOf(leaves)
    const partial: Array<Uint8Array> = []
    const tiles: Array<StoredTile> = []
    let added = leaves
    for (let level = 0; added.length > 0 || level < this.#partial.length; level += 1) {
      const known = this.#partial[level] ?? NOTHING
      if (added.length === 0) {
        partial.push(known)
        continue
      }
      const hashes = Buffer.concat([known, added])
      const total = Math.floor(size / TILE_WIDTH ** level)
      const first = Math.floor((total - widthOf(hashes)) / TILE_WIDTH)
      const full = Math.floor(widthOf(hashes) / TILE_WIDTH)
      const roots = Buffer.allocUnsafe(full * HASH_BYTES)
      for (let at = 0; at < full; at += 1) {
        const tile = hashesAt(hashes, at * TILE_WIDTH, TILE_WIDTH)
        tiles.push({ level, index: first + at, hashes: tile })
        roots.set(perfectRoot(tile), at * HASH_BYTES)
      }
      const rest = hashesAt(hashes, full * TILE_WIDTH, widthOf(hashes) - full * TILE_WIDTH)
      if (rest.length > 0) tiles.push({ level, index: first + full, hashes: rest })
      partial.push(rest)
      added = roots
    }
    return { edge: new TreeEdge(size, partial), tiles }
  }
}
