import type { Contributions } from "./contributions.ts"

/** An event as the ledger takes it: normalised and clean, but without position, owners and hashes. */
export interface NewEvent {
  /** Public id: a lower-case UUID, unique in the ledger; a known one is a duplicate. */
  readonly id: string
  /** As sent, 1–128 code points. */
  readonly type: string
  /** When it happened, ms since 1970. */
  readonly ts: number
  /** The two parties; opaque, usually AIDs, ≤ 512 code points. */
  readonly aidA: string | null
  readonly aidB: string | null
  /** ≤ 255 code points. */
  readonly sessionId: string | null
  /** ≤ 255 code points. */
  readonly runId: string | null
  /** ≤ 128 code points. */
  readonly namespace: string | null
  readonly grants: ReadonlyArray<string> | null
  /** `payload.capability`, if it is a string. */
  readonly capability: string | null
  /** JSON text of an object or array. */
  readonly payload: string
  /** JSON text of what was learnt from compact tokens in the payload. */
  readonly artifacts: string | null
  /** Who says so, ≤ 128 code points; `cp` for the service itself. */
  readonly source: string
  /** Canonical JSON of the event as received, for telling a repeat from a conflicting second event. */
  readonly content: string
  /** What it says to the projections; absent: nothing. */
  readonly contributions?: Contributions
}

/** What became of an event that was handed to the ledger. */
export type Outcome =
  /** Stored now. */
  | "stored"
  /** Known with the same content. */
  | "duplicate"
  /** Known with other content; the first one stays. */
  | "conflict"
  /** Known, but what it contained can no longer be compared (its key was rotated, or it was erased). */
  | "unverifiable"

/** Answer of an append: positions and outcomes in the order of the events. */
export interface Recorded {
  /** Lineage of positions, 8 hex digits. */
  readonly epoch: string
  /** Position of the newest event of the ledger. */
  readonly head: number
  /** Position of each event; of a duplicate, that of the event that was there first. */
  readonly seqs: ReadonlyArray<number>
  readonly outcomes: ReadonlyArray<Outcome>
}

/** A stored event as it is read (contract §7.1); JSON members as text. */
export interface StoredEvent {
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly ts: Date
  /** When it was stored. */
  readonly createdAt: Date
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  readonly namespace: string | null
  readonly grants: string | null
  /** Null once erased. */
  readonly payload: string | null
  readonly source: string
  readonly reportedBy: string
  readonly artifacts: string | null
}
