// Where the hashes of a log's tree are (C2SP tlog-tiles).

/** Hashes in a full tile. */
export const TILE_WIDTH = 256

/** A tile, or the beginning of one. */
export interface Tile {
  readonly level: number
  /** Place within the level, from 0. */
  readonly index: number
  /** Hashes in it, 1…256. */
  readonly width: number
}

/** Hashes that a tree of `size` leaves has in this tile; 0 when it has no such tile. */
export const widthIn = (size: number, level: number, index: number): number => {
  const hashes = Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH
  return Math.min(Math.max(hashes, 0), TILE_WIDTH)
}

/** `<N>` of a tile's path: three digits an element; all elements but the last begin with an `x`. */
export const indexPath = (index: number): string => {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/[0-9]{3}/g) ?? []
  return groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join("/")
}

/** Path of a tile below the log's prefix. */
export const tilePath = ({ index, level, width }: Tile): string =>
  `tile/${level}/${indexPath(index)}${width === TILE_WIDTH ? "" : `.p/${width}`}`
