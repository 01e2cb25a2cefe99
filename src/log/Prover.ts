import { Context, Effect, Layer } from "effect"
import { TILE_WIDTH } from "../client/log-tiles.ts"
import { LogTiles } from "./LogTiles.ts"
import { joinedRoot, widthOf } from "./merkle.ts"
import {
  consistencyPath,
  inclusionPath,
  type Range,
  type Slice,
  sliceRoot,
  slicesOf,
  tilesFor
} from "./proof.ts"
import type { StoredTile } from "./TreeEdge.ts"

/** Hashes, 32 bytes each, in the order of RFC 6962 §2.1. */
export type Proof = ReadonlyArray<Uint8Array>

const NO_HASHES = new Uint8Array(0)

/** Hashes of subtrees that are kept; a few MB. */
const KEPT = 16_384

/** Makes proofs from the stored tiles; they need no event to be still there. Sizes are those of trees of one epoch. */
export class Prover extends Context.Service<
  Prover,
  {
    /**
     * Why a leaf is in a tree, and the leaf's hash; `index` < `size` ≤ leaves of the newest tree.
     * @param tile what is known of the tile of the lowest level that the leaf is in
     */
    readonly inclusion: (
      epoch: string,
      index: number,
      size: number,
      tile?: Uint8Array | null
    ) => Effect.Effect<{ readonly leaf: Uint8Array; readonly hashes: Proof }>
    /** Why a tree extends another one; `from` ≤ `to` ≤ leaves of the newest tree. */
    readonly consistency: (epoch: string, from: number, to: number) => Effect.Effect<Proof>
    /** Root hash of the tree of the first `size` leaves. */
    readonly root: (epoch: string, size: number) => Effect.Effect<Uint8Array>
  }
>()("cp/log/Prover") {
  static readonly layer = Layer.effect(
    Prover,
    Effect.gen(function* () {
      const tiles = yield* LogTiles
      const memo = new SubtreeMemo()

      /** @param near a tile that is at hand; what is found in it needs no keeping */
      const rootsOf = Effect.fnUntraced(function* (
        epoch: string,
        ranges: ReadonlyArray<Range>,
        near?: StoredTile
      ) {
        const slices = ranges.map(slicesOf)
        const isNear = (slice: Slice) => slice.level === near?.level && slice.index === near.index
        const distant = slices.flat().filter((slice) => !isNear(slice))
        // Looked up before the tiles are read: what is kept then may be forgotten meanwhile.
        const known = new Map(distant.map((slice) => [slice, memo.get(epoch, slice)]))
        const find = yield* tiles.read(tilesFor(distant.filter((slice) => known.get(slice) === undefined)))
        const hashOf = (slice: Slice) =>
          isNear(slice)
            ? sliceRoot(slice, () => near?.hashes)
            : (known.get(slice) ?? memo.keep(epoch, slice, sliceRoot(slice, find)))
        return slices.map((each) => joinedRoot(each.map(hashOf)))
      })

      const inclusion = Effect.fn("Prover.inclusion")(function* (
        epoch: string,
        index: number,
        size: number,
        tile?: Uint8Array | null
      ) {
        const leafAlone = { start: index, end: index + 1 }
        const near = { level: 0, index: Math.floor(index / TILE_WIDTH), hashes: tile ?? NO_HASHES }
        // It may have been read before the tree grew to this size.
        const suffices = widthOf(near.hashes) >= Math.min(TILE_WIDTH, size - near.index * TILE_WIDTH)
        const ranges = [leafAlone, ...inclusionPath(index, size)]
        const [leaf, ...hashes] = yield* rootsOf(epoch, ranges, suffices ? near : undefined)
        return leaf === undefined ? yield* Effect.die(new Error("a proof without leaf")) : { leaf, hashes }
      })

      const root = Effect.fnUntraced(function* (epoch: string, size: number) {
        const [hash] = yield* rootsOf(epoch, [{ start: 0, end: size }])
        return hash ?? (yield* Effect.die(new Error("a tree without root")))
      })

      return { consistency: (epoch, from, to) => rootsOf(epoch, consistencyPath(from, to)), inclusion, root }
    })
  )
}

/**
 * Hashes of subtrees, which never change. Those high up and those at the right edge are in nearly every proof; the least
 * recently used ones are forgotten. Another epoch has another tree.
 */
class SubtreeMemo {
  readonly #hashes = new Map<string, Uint8Array>()
  #epoch = ""

  get(epoch: string, slice: Slice): Uint8Array | undefined {
    if (epoch !== this.#epoch) return undefined
    const key = keyOf(slice)
    const hash = this.#hashes.get(key)
    if (hash === undefined) return undefined
    this.#hashes.delete(key)
    this.#hashes.set(key, hash)
    return hash
  }

  /** Gives the hash back. */
  keep(epoch: string, slice: Slice, hash: Uint8Array): Uint8Array {
    if (slice.level === 0 && slice.count === 1) return hash
    if (epoch !== this.#epoch) this.#hashes.clear()
    this.#epoch = epoch
    this.#hashes.set(keyOf(slice), new Uint8Array(hash)) // not a view that keeps the whole tile
    for (const oldest of this.#hashes.keys()) {
      if (this.#hashes.size <= KEPT) break
      this.#hashes.delete(oldest)
    }
    return hash
  }
}

const keyOf = ({ count, from, index, level }: Slice): string => `${level}/${index}/${from}/${count}`
