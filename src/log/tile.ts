import { indexPath, type Tile, TILE_WIDTH } from "../client/log-tiles.ts"

/** Places in the tree and in its tiles (C2SP tlog-tiles). Sizes and indexes are integers below 2⁵³. */

/** Levels of the tree in one level of tiles. */
export const TILE_HEIGHT = 8

/** Leaves below one hash of a tile of this level. */
const leavesBelow = (level: number): number => TILE_WIDTH ** level

/** The partial tiles at the right edge of a tree, from level 0 up; a level that ends with a full tile has none. */
export const edgeOf = (size: number): ReadonlyArray<Tile> => {
  const tiles: Array<Tile> = []
  for (let level = 0; leavesBelow(level) <= size; level += 1) {
    const hashes = Math.floor(size / leavesBelow(level))
    const width = hashes % TILE_WIDTH
    if (width > 0) tiles.push({ level, index: Math.floor(hashes / TILE_WIDTH), width })
  }
  return tiles
}

const LEVEL = /^(?:[0-9]|[1-5][0-9]|6[0-3])$/
const PLACE = /^((?:x[0-9]{3}\/)*)([0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/

/** Reads the `<N>[.p/<W>]` of a tile's path; undefined unless it is spelt in the one way it can be. */
export const parsePlace = (text: string): { readonly index: number; readonly width: number } | undefined => {
  const [, high = "", low = "", partial] = PLACE.exec(text) ?? []
  const index = Number(high.replaceAll(/[x/]/g, "") + low)
  const width = partial === undefined ? TILE_WIDTH : Number(partial)
  if (low === "" || !Number.isSafeInteger(index) || indexPath(index) !== high + low) return undefined
  return partial !== undefined && width >= TILE_WIDTH ? undefined : { index, width }
}

/** Reads the `<L>` and `<N>[.p/<W>]` of a tile's path. */
export const parseTile = (level: string, place: string): Tile | undefined => {
  const parsed = LEVEL.test(level) ? parsePlace(place) : undefined
  return parsed === undefined ? undefined : { level: Number(level), ...parsed }
}
