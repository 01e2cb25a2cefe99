import { equalBytes } from "./log-base64.ts"
import { type Checkpoint, openCheckpoint, type Trust } from "./log-checkpoint.ts"
import { type TreeNode, TreeRange } from "./log-range.ts"
import { LogRefused } from "./log-refusal.ts"
import { type LogState, stateOf } from "./log-state.ts"
import { HASH_BYTES } from "./log-tree.ts"
import { type Tile, TILE_WIDTH, tilePath, widthIn } from "./log-tiles.ts"

/** Where a log is read from; what cannot be reached is an error of its own, not a refusal. */
export interface LogSource {
  /** `<prefix>/checkpoint`. */
  readonly checkpoint: () => Promise<string>
  /** `<prefix>/<path>`; undefined when there is no such tile. */
  readonly tile: (path: string) => Promise<Uint8Array<ArrayBuffer> | undefined>
}

export interface Followed {
  readonly checkpoint: Checkpoint
  /** To be remembered for the next time. */
  readonly state: LogState
}

/** Tiles asked for at once. */
const CONCURRENCY = 8
/** Levels of the tree in one level of tiles. */
const TILE_HEIGHT = 8

const missing = (path: string) =>
  new LogRefused("TILE", `${path} is missing or has not the length it should have`)

/** The hashes of a tile; a partial one may be gone once the full one is there. */
const readTile = async (source: LogSource, tile: Tile): Promise<Uint8Array<ArrayBuffer>> => {
  const path = tilePath(tile)
  const hashes = await source.tile(path)
  const found =
    hashes ??
    (tile.width < TILE_WIDTH ? await source.tile(tilePath({ ...tile, width: TILE_WIDTH })) : undefined)
  if (found === undefined || found.length < tile.width * HASH_BYTES) throw missing(path)
  if (hashes !== undefined && hashes.length !== tile.width * HASH_BYTES) throw missing(path)
  return found.subarray(0, tile.width * HASH_BYTES)
}

/** The tree of `to` leaves, read from the tiles of leaf hashes of the tree of `size` leaves. */
const extend = async (
  source: LogSource,
  from: TreeRange,
  to: number,
  size: number,
  completed: (node: TreeNode) => void
): Promise<TreeRange> => {
  let range = from
  while (range.size < to) {
    const first = Math.floor(range.size / TILE_WIDTH)
    const count = Math.min(CONCURRENCY, Math.ceil(to / TILE_WIDTH) - first)
    const tiles = await Promise.all(
      Array.from({ length: count }, (_, at) => {
        const index = first + at
        return readTile(source, { level: 0, index, width: widthIn(size, 0, index) })
      })
    )
    for (const [at, hashes] of tiles.entries()) {
      const start = (first + at) * TILE_WIDTH
      range = await range.append(
        hashes.subarray((range.size - start) * HASH_BYTES, (to - start) * HASH_BYTES),
        completed
      )
    }
  }
  return range
}

/** Whether the tiles above hold the roots of the full tiles below. */
const checkUpperTiles = async (source: LogSource, nodes: ReadonlyArray<TreeNode>, size: number) => {
  const tiles = Map.groupBy(
    nodes,
    ({ height, index }) => `${height / TILE_HEIGHT}/${Math.floor(index / TILE_WIDTH)}`
  )
  for (const group of tiles.values()) {
    const [node] = group
    if (node === undefined) continue
    const level = node.height / TILE_HEIGHT
    const index = Math.floor(node.index / TILE_WIDTH)
    const tile = { level, index, width: widthIn(size, level, index) }
    const hashes = await readTile(source, tile)
    for (const { hash, index: place } of group) {
      const at = (place % TILE_WIDTH) * HASH_BYTES
      if (!equalBytes(hashes.subarray(at, at + HASH_BYTES), hash)) {
        throw new LogRefused("TILE", `${tilePath(tile)} does not hold the root of the tile below it`)
      }
    }
  }
}

/** All leaves from the first on, and whether the tree passed through the remembered one. */
const fromTheStart = async (
  source: LogSource,
  checkpoint: Checkpoint,
  remembered: LogState | undefined,
  completed: (node: TreeNode) => void
): Promise<TreeRange> => {
  const { root, size } = checkpoint
  const then = await extend(source, TreeRange.empty, remembered?.range.size ?? 0, size, completed)
  const now = await extend(source, then, size, size, completed)
  if (!equalBytes(await now.root(), root)) {
    throw new LogRefused("TILE", "the tiles do not hash to the signed root")
  }
  if (remembered !== undefined && !equalBytes(await then.root(), remembered.head.root)) {
    throw new LogRefused("FORK", `the log has other first ${then.size} leaves than it had`)
  }
  return now
}

/**
 * Reads the newest checkpoint and verifies that it is the log's, that its tree extends the remembered one, and that the
 * tiles are that tree: each new leaf hash is read, and the root computed from it. Without a remembered state, or asked to
 * `recheck`, all leaf hashes are read. Throws a `LogRefused`; then the remembered state must be kept, as evidence.
 */
export const followLog = async (
  source: LogSource,
  trust: Trust,
  {
    recheck = false,
    remembered
  }: { readonly remembered?: LogState | undefined; readonly recheck?: boolean } = {}
): Promise<Followed> => {
  if (remembered !== undefined && remembered.head.origin !== trust.key.name) {
    throw new LogRefused("ORIGIN", `what is remembered is of the log ${remembered.head.origin}`)
  }
  const checkpoint = await openCheckpoint(await source.checkpoint(), trust)
  const { root, size } = checkpoint
  const known = remembered?.range ?? TreeRange.empty
  if (size < known.size) {
    throw new LogRefused("REWIND", `the log has ${size} leaves; it had ${known.size}`)
  }
  if (remembered !== undefined && size === known.size && !equalBytes(root, remembered.head.root)) {
    throw new LogRefused("FORK", `the log of ${size} leaves has another root than it had`)
  }
  const nodes: Array<TreeNode> = []
  const completed = (node: TreeNode) =>
    void (node.height > 0 && node.height % TILE_HEIGHT === 0 && nodes.push(node))
  let range = recheck ? TreeRange.empty : await extend(source, known, size, size, completed)
  if (recheck || !equalBytes(await range.root(), root)) {
    // Also tells whether the tiles or the history are wrong.
    nodes.length = 0
    range = await fromTheStart(source, checkpoint, remembered, completed)
  }
  await checkUpperTiles(source, nodes, size)
  return { checkpoint, state: stateOf(checkpoint, range) }
}
