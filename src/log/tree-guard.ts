import { Effect, Schema } from "effect"
import type { SqlError } from "effect/sql"
import { type TreeHead as SignedHead, parseTreeHead } from "../client/log-checkpoint.ts"
import { parseNote, type VerifierKey, isSignedBy } from "../client/log-note.ts"
import { TILE_WIDTH } from "../client/log-tiles.ts"
import type { LogTiles } from "./LogTiles.ts"
import type { LogTrees, TreeState } from "./LogTrees.ts"
import { hashesAt } from "./merkle.ts"
import { edgeOf } from "./tile.ts"
import { TreeEdge } from "./TreeEdge.ts"

/** Why nothing more is signed. Each means that the log would contradict what it has shown to others. */
export const REFUSALS = [
  /** The ledger was written on another cluster or timeline, and nobody has adopted it. */
  "not_adopted",
  /** The signed tree is larger than the ledger. */
  "ledger_behind",
  /** The stored checkpoint is not that of the stored tree, or its signature is not ours. */
  "checkpoint_damaged",
  /** The stored tiles do not hash to the signed root. */
  "tiles_damaged",
  /** Events that are in the tree have other leaves, or are gone without retention. */
  "rows_differ",
  /** Events that should be next are not there. */
  "rows_missing"
] as const

export type Refusal = (typeof REFUSALS)[number]

/** The log cannot be continued; a person must look. */
export class LogNotContinued extends Schema.TaggedError<LogNotContinued>()("LogNotContinued", {
  reason: Schema.Literals(REFUSALS),
  message: Schema.String
}) {}

/** Newest leaves that are compared with their rows; the audit compares the others. */
const COMPARED = 16 * TILE_WIDTH

const refuse = (reason: Refusal, message: string) => Effect.fail(new LogNotContinued({ reason, message }))

/** The head in a stored checkpoint; undefined when it is none, or claims a signature of this key that is not valid. */
const readNote = (note: string, key: VerifierKey) =>
  Effect.promise(async (): Promise<SignedHead | undefined> => {
    try {
      const parsed = parseNote(note)
      await isSignedBy(parsed, key)
      return parseTreeHead(parsed.text)
    } catch {
      return undefined
    }
  })

/** The newest leaves of a tree as its tiles have them, and as the rows that are still there have them. */
const newestLeaves = Effect.fnUntraced(function* (
  { droppedTo, size }: TreeState,
  tiles: LogTiles["Service"],
  trees: LogTrees["Service"]
) {
  const after = Math.min(Math.max(size - COMPARED, droppedTo), size)
  const first = Math.floor(after / TILE_WIDTH)
  const places = Array.from({ length: Math.ceil(size / TILE_WIDTH) - first }, (_, at) => ({
    level: 0,
    index: first + at
  }))
  const find = yield* tiles.read(places)
  const signed = Buffer.concat(places.map(({ index, level }) => find(level, index) ?? new Uint8Array(0)))
  const { leaves } = yield* trees.newLeaves(after, size - after)
  return [hashesAt(signed, after - first * TILE_WIDTH, size - after), leaves] as const
})

/**
 * The stored tree, ready to be extended, once it is certain that it continues what was signed. That the key or the origin
 * has changed since is no contradiction.
 */
export const provenEdge: (
  state: TreeState,
  key: VerifierKey,
  tiles: LogTiles["Service"],
  trees: LogTrees["Service"]
) => Effect.Effect<TreeEdge, LogNotContinued | SqlError.SqlError> = Effect.fn("provenEdge")(
  function* (state, key, tiles, trees) {
    const { ledger, note, root, size } = state
    if (size > ledger.head)
      return yield* refuse("ledger_behind", `${size} events are signed, the ledger has ${ledger.head}`)
    const signed = note === null ? undefined : yield* readNote(note, key)
    const isSigned = signed?.size === size && Buffer.compare(signed.root, root) === 0
    if (note === null ? size > 0 : !isSigned)
      return yield* refuse("checkpoint_damaged", "the stored checkpoint is not that of the stored tree")

    const edge = TreeEdge.of(size, yield* tiles.read(edgeOf(size)))
    if (edge === undefined || Buffer.compare(edge.root(), root) !== 0)
      return yield* refuse("tiles_damaged", "the stored tiles do not hash to the signed root")

    const [wanted, found] = yield* newestLeaves(state, tiles, trees)
    if (Buffer.compare(wanted, found) !== 0) {
      const now = yield* trees.read
      if (now.droppedTo > state.droppedTo) return yield* provenEdge(now, key, tiles, trees) // retention was at work
      return yield* refuse("rows_differ", "the newest events are not those that were signed")
    }
    return edge
  }
)
