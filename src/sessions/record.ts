import { Schema } from "effect"
import type { Session } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

const Text = Schema.NullOr(Schema.String)

/** A handshake session as reported events tell it; null is unknown. */
export const SessionRecord = Schema.Struct({
  /** Opaque, 1–255 characters. */
  sessionId: Schema.String,
  /** Initiator; usually an AID, but opaque. */
  aidA: Text,
  /** Responder. */
  aidB: Text,
  /** Never goes back to `started`. */
  status: Schema.Literals(["started", "complete", "failed"]),
  /** Granted by completions, in order of the first grant, without repeats; at most 1000. */
  grants: Schema.Array(Schema.String),
  runId: Text,
  /** As reported, the first 128 characters. */
  boundary: Text,
  /** Of a failed session. */
  error: Text,
  /** Earliest reported start. */
  startedAt: Schema.NullOr(Instant),
  /** Null unless the session is complete. */
  completedAt: Schema.NullOr(Instant),
  /** When this service first heard of the session. */
  createdAt: Instant,
  /** When the record last changed. */
  updatedAt: Instant,
  namespace: Text
}).annotate({ identifier: "Session" })

/** A session as answers and exports carry it. */
export const sessionRecord = (session: Session): typeof SessionRecord.Type => ({
  sessionId: session.sessionId,
  aidA: session.aidA,
  aidB: session.aidB,
  status: session.status,
  grants: session.grants,
  runId: session.runId,
  boundary: session.boundary,
  error: session.error,
  startedAt: session.startedAt?.toISOString() ?? null,
  completedAt: session.completedAt?.toISOString() ?? null,
  createdAt: session.createdAt.toISOString(),
  updatedAt: session.updatedAt.toISOString(),
  namespace: session.namespace
})
