import { Context, Effect, Layer } from "effect"
import { LogTiles } from "./LogTiles.ts"
import { consistencyPath, inclusionPath, type Range, rootOf, tilesFor } from "./proof.ts"

/** Hashes, 32 bytes each, in the order of RFC 6962 §2.1. */
export type Proof = ReadonlyArray<Uint8Array>

/** Makes proofs from the stored tiles; they need no event to be still there. */
export class Prover extends Context.Service<
  Prover,
  {
    /** Why a leaf is in a tree, and the leaf's hash; `index` < `size` ≤ leaves of the served tree. */
    readonly inclusion: (
      index: number,
      size: number
    ) => Effect.Effect<{ readonly leaf: Uint8Array; readonly hashes: Proof }>
    /** Why a tree extends another, and the root of that; `from` ≤ `to` ≤ leaves of the served tree. */
    readonly consistency: (from: number, to: number) => Effect.Effect<Proof>
    /** Root hash of the tree of the first `size` leaves. */
    readonly root: (size: number) => Effect.Effect<Uint8Array>
  }
>()("cp/log/Prover") {
  static readonly layer = Layer.effect(
    Prover,
    Effect.gen(function* () {
      const tiles = yield* LogTiles
      const rootsOf = Effect.fnUntraced(function* (ranges: ReadonlyArray<Range>) {
        const find = yield* tiles.read(tilesFor(ranges))
        return ranges.map((range) => rootOf(range, find))
      })

      const inclusion = Effect.fn("Prover.inclusion")(function* (index: number, size: number) {
        const [leaf, ...hashes] = yield* rootsOf([
          { start: index, end: index + 1 },
          ...inclusionPath(index, size)
        ])
        return leaf === undefined ? yield* Effect.die(new Error("a proof without leaf")) : { leaf, hashes }
      })

      return {
        inclusion,
        consistency: (from, to) => rootsOf(consistencyPath(from, to)),
        root: (size) => Effect.map(rootsOf([{ start: 0, end: size }]), ([root]) => root ?? new Uint8Array(0))
      }
    })
  )
}
