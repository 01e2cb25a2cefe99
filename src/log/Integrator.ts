import { Context, Effect, Layer, Queue } from "effect"
import type { SqlError } from "effect/sql"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { LedgerHints } from "../events/LedgerHints.ts"
import { LogLineage } from "../events/LogLineage.ts"
import { type Lease, Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { type LogIdentity, LogKey } from "./LogKey.ts"
import { LogMetrics } from "./LogMetrics.ts"
import { LogTiles } from "./LogTiles.ts"
import { LogTrees } from "./LogTrees.ts"
import { LogNotContinued, provenEdge } from "./tree-guard.ts"
import type { TreeEdge } from "./TreeEdge.ts"

/** Leaves taken into the tree in one statement; 512 KiB of hashes. */
const CHUNK = 16_384

/** Pause after a look: what is committed meanwhile is taken in together. */
const SPACING_MS = 250
/** Longest time without a look; bounds what a lost hint, or one of another replica, costs. */
const POLL_MS = 500
/** Pause before a tree that could not be continued is looked at again. */
const RETRY_MS = 10_000

/** The tree was changed, or its lease taken, by another; begin again. */
export class Superseded {
  readonly _tag = "Superseded"
}

/** A tree that its holder may extend. */
export interface HeldTree {
  readonly edge: TreeEdge
  /** Epoch of the ledger. */
  readonly epoch: string
  readonly identity: LogIdentity
}

/**
 * Takes the leaves of committed events into the tree and signs it. Only the holder of the lease writes, in single
 * statements that check the lease, the tree they extend and the ledger's head, so there is one tree however many try.
 */
export class Integrator extends Context.Service<
  Integrator,
  {
    /** The stored tree, proven to be what was signed; signed anew first if origin or key have changed. */
    readonly begin: (
      lease: Lease
    ) => Effect.Effect<HeldTree, LogNotContinued | Superseded | SqlError.SqlError>
    /** The tree with all events there are by now. */
    readonly catchUp: (
      lease: Lease,
      held: HeldTree
    ) => Effect.Effect<HeldTree, LogNotContinued | Superseded | SqlError.SqlError>
  }
>()("cp/log/Integrator") {
  static readonly layer = Layer.effect(
    Integrator,
    Effect.gen(function* () {
      const { witnesses } = (yield* AppConfig).log
      const key = yield* LogKey
      const lineage = yield* LogLineage
      const tiles = yield* LogTiles
      const trees = yield* LogTrees
      // With witnesses a checkpoint is served once they were asked.
      const publish = witnesses.length === 0

      const begin = Effect.fn("Integrator.begin")(function* (lease: Lease) {
        if (!(yield* lineage.claim)) {
          return yield* new LogNotContinued({
            reason: "not_adopted",
            message: "the ledger was written on another cluster or timeline"
          })
        }
        const state = yield* trees.read
        const { ledger, note, published, root, size } = state
        const identity = yield* key.identityIn({ ...state.lineage, epoch: ledger.epoch })
        const edge = yield* provenEdge(state, identity.key, tiles, trees)
        const signed = identity.sign({ size, root })
        if (
          note !== signed ||
          state.lineage.epoch !== ledger.epoch ||
          (publish && published?.note !== signed)
        ) {
          const next = {
            epoch: ledger.epoch,
            previous: size,
            size,
            root,
            note: signed,
            publish: true,
            tiles: []
          }
          if (!(yield* trees.integrate(lease, next))) return yield* Effect.fail(new Superseded())
          yield* Effect.logInfo(`the transparency log is ${identity.origin}, ${size} events`)
        }
        return { edge, epoch: ledger.epoch, identity }
      })

      /** The next chunk; undefined when there is none. */
      const extend = Effect.fnUntraced(function* (lease: Lease, { edge, epoch, identity }: HeldTree) {
        const next = yield* trees.newLeaves(edge.size, CHUNK)
        if (next.epoch !== epoch) return yield* Effect.fail(new Superseded())
        const wanted = Math.min(next.head - edge.size, CHUNK)
        if (wanted === 0) return undefined
        if (next.count !== wanted) {
          return yield* new LogNotContinued({
            reason: wanted < 0 ? "ledger_behind" : "rows_missing",
            message: `the ledger ends at ${next.head} and has ${next.count} events behind the ${edge.size} that are signed`
          })
        }
        const grown = edge.append(next.leaves)
        const head = { size: grown.edge.size, root: grown.edge.root() }
        const stored = yield* trees.integrate(lease, {
          ...head,
          epoch,
          previous: edge.size,
          note: identity.sign(head),
          publish,
          tiles: grown.tiles
        })
        return stored ? { edge: grown.edge, epoch, identity } : yield* Effect.fail(new Superseded())
      })

      const catchUp = Effect.fnUntraced(function* (lease: Lease, held: HeldTree) {
        let current = held
        for (;;) {
          const next = yield* extend(lease, current)
          if (next === undefined) return current
          current = next
        }
      })

      return { begin, catchUp }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const hints = yield* LedgerHints
      const integrator = yield* Integrator
      const leases = yield* Leases
      const metrics = yield* LogMetrics
      const signals = yield* Queue.sliding<void>(1)
      yield* Effect.acquireRelease(
        Effect.sync(() => hints.subscribe(() => void Queue.offerUnsafe(signals, undefined))),
        (unsubscribe) => Effect.sync(unsubscribe)
      )

      const integrate = Effect.fnUntraced(function* (lease: Lease) {
        let held = yield* integrator.begin(lease)
        metrics.refused(undefined)
        for (;;) {
          held = yield* integrator.catchUp(lease, held)
          yield* succeeded("log-integrator")
          yield* Effect.sleep(SPACING_MS)
          yield* Effect.timeoutOption(Queue.take(signals), POLL_MS)
        }
      })

      /** Nothing is signed until a person has looked, or what was missing is back. */
      const refused = ({ message, reason }: LogNotContinued) =>
        Effect.gen(function* () {
          if (metrics.refused(reason)) {
            yield* Effect.logError(`the transparency log is not continued (${reason}): ${message}`)
          }
          yield* Effect.sleep(RETRY_MS)
        })

      const job = (lease: Lease) =>
        integrate(lease).pipe(
          Effect.catchTag("LogNotContinued", refused),
          Effect.forever,
          Effect.ensuring(Effect.sync(() => metrics.refused(undefined)))
        )
      yield* Effect.forkScoped(onBackground(leases.hold("log-integrator", job)))
    })
  )
}
