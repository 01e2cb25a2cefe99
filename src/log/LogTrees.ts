import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { type Lease, stillHeld } from "../jobs/Leases.ts"
import type { LogTree, PublishedCheckpoint, TreeHead } from "./model.ts"
import type { StoredTile } from "./TreeEdge.ts"

/** The stored tree, and the ledger that it follows. */
export interface TreeState extends LogTree {
  /** Epoch of the ledger, and the position of its newest event. */
  readonly ledger: { readonly epoch: string; readonly head: number }
}

/** Leaf hashes that follow a tree. */
export interface NewLeaves {
  readonly epoch: string
  /** Position of the newest event. */
  readonly head: number
  /** Leaves found; fewer than there are positions when a row is missing. */
  readonly count: number
  /** 32 bytes each, in order. */
  readonly leaves: Uint8Array
}

/** The next tree. */
export interface NextTree extends TreeHead {
  /** Epoch of the ledger it was read from. */
  readonly epoch: string
  /** Leaves of the tree that it extends. */
  readonly previous: number
  readonly note: string
  /** Whether it is served at once. */
  readonly publish: boolean
  readonly tiles: ReadonlyArray<StoredTile>
}

/** Store of the tree and its checkpoints. */
export class LogTrees extends Context.Service<
  LogTrees,
  {
    readonly read: Effect.Effect<TreeState, SqlError.SqlError>
    /** The leaves behind a tree of `size`, at most `limit`, of events that are committed. */
    readonly newLeaves: (size: number, limit: number) => Effect.Effect<NewLeaves, SqlError.SqlError>
    /** Stores the next tree in one statement; false, and nothing is stored, unless the lease and the previous tree still hold. */
    readonly integrate: (lease: Lease, next: NextTree) => Effect.Effect<boolean, SqlError.SqlError>
    /**
     * Serves a checkpoint of this epoch instead of an older one, or of the same one with fewer cosignatures; false when
     * the lease is lost or something newer is served.
     */
    readonly publish: (
      lease: Lease,
      epoch: string,
      checkpoint: PublishedCheckpoint
    ) => Effect.Effect<boolean, SqlError.SqlError>
  }
>()("cp/log/LogTrees") {
  static readonly layer = Layer.effect(
    LogTrees,
    Effect.gen(function* () {
      const { sql } = yield* Db

      interface Row {
        readonly firstEpoch: string
        readonly epoch: string
        readonly size: number
        readonly root: Uint8Array
        readonly note: string | null
        readonly publishedSize: number
        readonly publishedNote: string | null
        readonly publishedCosignatures: number
        readonly droppedTo: number
        readonly ledgerEpoch: string
        readonly ledgerHead: number
      }

      const read = sql<Row>`
        select
          t.first_epoch, t.epoch, t.size::float8 as size, t.root, t.note, t.published_size::float8 as published_size,
          t.published_note, t.published_cosignatures, t.dropped_to::float8 as dropped_to,
          h.epoch as ledger_epoch, h.seq::float8 as ledger_head
        from log_tree t join log_head h on h.log_id = t.log_id
        where t.log_id = ${LOG_ID}`.pipe(
        Effect.flatMap(([row]) => {
          if (row === undefined) return Effect.die(new Error("log_tree has no row"))
          const { epoch, firstEpoch, publishedCosignatures, publishedNote, publishedSize, ...rest } = row
          return Effect.succeed({
            lineage: { epoch, firstEpoch },
            size: rest.size,
            root: rest.root,
            note: rest.note,
            published:
              publishedNote === null
                ? null
                : { size: publishedSize, note: publishedNote, cosignatures: publishedCosignatures },
            droppedTo: rest.droppedTo,
            ledger: { epoch: rest.ledgerEpoch, head: rest.ledgerHead }
          })
        }),
        Effect.withSpan("LogTrees.read")
      )

      const newLeaves = Effect.fn("LogTrees.newLeaves")(function* (size: number, limit: number) {
        const [row] = yield* sql<Omit<NewLeaves, "leaves"> & { readonly leaves: Uint8Array | null }>`
          select epoch, head::float8 as head, count, leaves
          from log_leaves_v1(${LOG_ID}::smallint, ${size}::bigint, ${limit}::int)`
        if (row === undefined) return yield* Effect.die(new Error("log_head has no row"))
        return { ...row, leaves: row.leaves ?? new Uint8Array(0) }
      })

      const integrate = Effect.fn("LogTrees.integrate")(function* (lease: Lease, next: NextTree) {
        const { tiles } = next
        const [row] = yield* sql<{ readonly done: boolean }>`
          select integrate_v1(
            ${LOG_ID}::smallint, ${next.epoch}, ${next.previous}::bigint, ${next.size}::bigint, ${next.root}::bytea,
            ${next.note}, ${next.publish}, ${textArray(tiles.map(({ level }) => String(level)))}::smallint[],
            ${textArray(tiles.map(({ index }) => String(index)))}::bigint[],
            ${byteaArray(tiles.map(({ hashes }) => hashes))}) as done
          where ${stillHeld(sql, lease)}`
        return row?.done === true
      })

      const publish = Effect.fn("LogTrees.publish")(function* (
        lease: Lease,
        epoch: string,
        { cosignatures, note, size }: PublishedCheckpoint
      ) {
        const rows = yield* sql`
          update log_tree t set
            published_size = ${size}::bigint, published_note = ${note}, published_cosignatures = ${cosignatures}::int,
            published_at = clock_timestamp()
          where t.log_id = ${LOG_ID} and t.epoch = ${epoch} and t.size >= ${size}::bigint
            and (t.published_note is null or t.published_size < ${size}::bigint
              or (t.published_size = ${size}::bigint and t.published_cosignatures < ${cosignatures}::int))
            and ${stillHeld(sql, lease)}
          returning t.log_id`
        return rows.length === 1
      })

      return { integrate, newLeaves, publish, read }
    })
  )
}
