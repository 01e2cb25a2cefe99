import type { SessionContribution } from "./contribution.ts"

export type SessionStatus = SessionContribution["kind"]

/** A handshake session as its reported events tell it (contract §6.6); null is unknown. */
export interface Session {
  /** Opaque, 1–255 code points. */
  readonly sessionId: string
  /** The parties; usually AIDs, but opaque. */
  readonly aidA: string | null
  readonly aidB: string | null
  readonly status: SessionStatus
  /** What was granted, in order of the events that granted it, without repeats; empty before. */
  readonly grants: ReadonlyArray<string>
  readonly runId: string | null
  /** At most 128 code points. */
  readonly boundary: string | null
  /** Of a failed session. */
  readonly error: string | null
  /** Earliest reported start. */
  readonly startedAt: Date | null
  /** Null unless the session is complete. */
  readonly completedAt: Date | null
  /** When the service first heard of it; not part of what the events say. */
  readonly createdAt: Date
  /** When its row last changed. */
  readonly updatedAt: Date
  readonly namespace: string | null
}

/** A page of sessions; absent filters match everything. */
export interface SessionQuery {
  /** `completed` means `complete`; a status that does not exist matches nothing. */
  readonly status: string | undefined
  readonly runId: string | undefined
  /** Either party, as spelled. */
  readonly aid: string | undefined
  readonly limit: number
  readonly offset: number
  /** Continue behind this session. */
  readonly after: { readonly createdAt: Date; readonly sessionId: string } | undefined
}
