import { visibleToAll } from "../../../src/access/Visibility.ts"
import { type Frame, frameOf } from "../../../src/stream/frame.ts"
import type { LedgerRow } from "../../../src/stream/LedgerPages.ts"
import { type Selection, selectionOf } from "../../../src/stream/selection.ts"
import { unfiltered } from "../../../src/events/history.ts"

export const EPOCH = "0a0b0c0d"

/** A stored event; only its position matters unless more is given. */
export const row = (seq: number, fields: Partial<LedgerRow> = {}): LedgerRow => ({
  seq,
  id: `00000000-0000-7000-8000-${String(seq).padStart(12, "0")}`,
  type: "t",
  ts: new Date(seq),
  createdAt: new Date(seq),
  aidA: null,
  aidB: null,
  sessionId: null,
  runId: null,
  namespace: null,
  grants: null,
  payload: "{}",
  source: "playground",
  reportedBy: "system",
  artifacts: null,
  orgIds: [],
  ...fields
})

export const frame = (seq: number, fields: Partial<LedgerRow> = {}): Frame => frameOf(EPOCH, row(seq, fields))

/** Frames of consecutive positions, both inclusive. */
export const frames = (from: number, to: number, fields: Partial<LedgerRow> = {}): ReadonlyArray<Frame> =>
  Array.from({ length: to - from + 1 }, (_, index) => frame(from + index, fields))

export const selecting = (filters: Partial<Selection> = {}): Selection =>
  selectionOf({ ...unfiltered, ...filters }, filters.visibility ?? visibleToAll)
