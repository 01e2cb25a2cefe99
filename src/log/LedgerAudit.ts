import { Context, Effect, Layer, Option } from "effect"
import { isSignedBy, parseNote } from "../client/log-note.ts"
import type { ServedCheckpoint } from "./Checkpoints.ts"
import { faultOf, type RowFault } from "./covered.ts"
import { LogEntries, type LoggedRow } from "./LogEntries.ts"
import { LogKey } from "./LogKey.ts"
import { LogTiles } from "./LogTiles.ts"
import { LogTrees } from "./LogTrees.ts"
import { signedLeaves, tilesAbove } from "./signed-leaves.ts"

/** Rows looked at in one go. */
const CHUNK = 250

/** What is wrong at a position. */
export type Fault =
  | RowFault
  /** The row agrees with itself, but another leaf was signed: it was replaced, moved or inserted. */
  | "leaf"
  /** There is no row, and retention has not dropped it. */
  | "missing"
  /** There is a row beyond the ledger's head. */
  | "inserted"
  /** The stored tree does not hash to what was signed. */
  | "tree"

export interface Finding {
  readonly seq: number
  readonly fault: Fault
  /** Event at that position, or the one that was; null when nobody knows. */
  readonly eventId: string | null
  /** Positions that it is about: more than one only of missing rows. */
  readonly positions: number
}

/** What was found of a part of the ledger. */
export interface Audited {
  /** Rows that were looked at. */
  readonly rows: number
  /** In the order of positions. */
  readonly findings: ReadonlyArray<Finding>
  /** Last position that was looked at. */
  readonly upTo: number
  /** Rows before the first finding. */
  readonly intact: number
}

/** What was found of a part of the ledger, up to its first fault. */
export interface Verified {
  /** Rows that are what was logged. */
  readonly checked: number
  readonly finding: Finding | undefined
  /** Last position that was looked at. */
  readonly upTo: number
  /** Whether there is more to look at behind it. */
  readonly hasMore: boolean
}

/** The part to look at: positions behind `after`, up to `upTo`, or to the end and beyond it. */
export interface Part {
  readonly after: number
  readonly upTo: number | undefined
  /** Largest number of rows to look at. */
  readonly limit: number
}

/** What is wrong with a row; `leafAt` gives what was signed. */
const faultIn = (
  row: LoggedRow,
  head: number,
  size: number,
  leafAt: (index: number) => Uint8Array | undefined
) => {
  if (row.seq > head) return "inserted"
  const own = faultOf(row)
  if (own !== undefined || row.seq > size) return own
  const signed = leafAt(row.seq - 1)
  if (signed === undefined) return "tree"
  return Buffer.compare(signed, row.leafHash) === 0 ? undefined : "leaf"
}

/** Compares the ledger's rows with the hashes beside them, and those with the tree that was signed. */
export class LedgerAudit extends Context.Service<
  LedgerAudit,
  {
    /** Looks at a part of the ledger, against a checkpoint; the part ends where the rows or the limit do. */
    readonly inspect: (checkpoint: ServedCheckpoint, part: Part) => Effect.Effect<Audited>
    /** Looks at a part until the first fault. */
    readonly verify: (checkpoint: ServedCheckpoint, part: Part) => Effect.Effect<Verified>
    /** Whether a checkpoint is signed by the log's own key; one that is not says nothing. */
    readonly isOwn: (checkpoint: ServedCheckpoint) => Effect.Effect<boolean>
  }
>()("cp/log/LedgerAudit") {
  static readonly layer = Layer.effect(
    LedgerAudit,
    Effect.gen(function* () {
      const entries = yield* LogEntries
      const key = yield* LogKey
      const tiles = yield* LogTiles
      const trees = yield* LogTrees

      const isOwn = Effect.fnUntraced(function* ({ lineage, note }: ServedCheckpoint) {
        const { key: own } = yield* key.identityIn(lineage)
        return yield* Effect.promise(() => isSignedBy(parseNote(note), own).catch(() => false))
      })

      /** What should be between two positions and is not, as one finding. */
      const gap = Effect.fnUntraced(function* (
        after: number,
        next: number,
        expected: { readonly from: number; readonly to: number }
      ) {
        const seq = Math.max(after + 1, expected.from)
        const before = Math.min(next, expected.to + 1)
        if (seq >= before) return []
        const eventId = Option.getOrNull(yield* entries.idAt(seq))
        const finding: Finding = { seq, fault: "missing", eventId, positions: before - seq }
        return [finding]
      })

      const inspect = Effect.fn("LedgerAudit.inspect")(function* (checkpoint: ServedCheckpoint, part: Part) {
        const { after, limit } = part
        // Asked before and behind the rows: what was appended or dropped meanwhile is no fault.
        const { ledger: then } = yield* Effect.orDie(trees.read)
        const rows = yield* entries.span({ after, upTo: part.upTo ?? Number.MAX_SAFE_INTEGER, limit })
        const { droppedTo, ledger: now } = yield* Effect.orDie(trees.read)
        const expected = { from: droppedTo + 1, to: then.head }
        const last = rows.at(-1)?.seq ?? after
        const end = Math.max(Math.min(part.upTo ?? then.head, then.head), after)
        const upTo = rows.length === limit ? last : Math.max(last, end)
        const leaves = rows.filter(({ seq }) => seq <= checkpoint.size).map(({ seq }) => seq - 1)
        const find = yield* tiles.read(tilesAbove(leaves, checkpoint.size))
        const leafAt = signedLeaves(checkpoint, find)
        const findings: Array<Finding> = []
        let previous = after
        for (const row of rows) {
          findings.push(...(yield* gap(previous, row.seq, expected)))
          const fault = faultIn(row, now.head, checkpoint.size, leafAt)
          if (fault !== undefined) findings.push({ seq: row.seq, fault, eventId: row.id, positions: 1 })
          previous = row.seq
        }
        findings.push(...(yield* gap(previous, upTo + 1, expected)))
        const first = findings[0]?.seq ?? Number.POSITIVE_INFINITY
        const intact = rows.filter(({ seq }) => seq < first).length
        return { rows: rows.length, findings, upTo, intact }
      })

      const verify = Effect.fn("LedgerAudit.verify")(function* (checkpoint: ServedCheckpoint, part: Part) {
        let checked = 0
        let after = part.after
        for (;;) {
          const limit = Math.min(CHUNK, part.limit - checked)
          const { findings, intact, rows, upTo } = yield* inspect(checkpoint, { ...part, after, limit })
          checked += intact
          after = upTo
          const [finding] = findings
          const isEnd = rows < limit
          if (finding !== undefined || isEnd || checked >= part.limit) {
            const isBehind = finding !== undefined && finding.seq + finding.positions <= upTo
            return { checked, finding, upTo: finding?.seq ?? upTo, hasMore: isBehind || !isEnd }
          }
          yield* Effect.yieldNow
        }
      })

      return { inspect, isOwn, verify }
    })
  )
}
