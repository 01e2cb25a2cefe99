import { Schema } from "effect"
import type { Breaker, Delivery, DeliveryDetails } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })
const Uuid = Schema.String.annotate({ format: "uuid" })

const members = {
  id: Uuid,
  /** `webhook-id` of the message. */
  eventId: Uuid,
  /** Position of the event; null for a test, which is none. */
  seq: Schema.NullOr(Schema.Int),
  /** Canonical type, as in `X-Aitp-Event`. */
  eventType: Schema.String,
  /** `pending` while another attempt will be made. */
  status: Schema.Literals(["pending", "delivered", "failed"]),
  /** Attempts made. */
  attempts: Schema.Int,
  /** Status of the newest answer; null when none came. */
  statusCode: Schema.NullOr(Schema.Int),
  /** Why the newest attempt failed, or why none is made now; null once delivered. */
  error: Schema.NullOr(Schema.String),
  /** When it is tried next; null unless pending. */
  nextRetryAt: Schema.NullOr(Instant),
  deliveredAt: Schema.NullOr(Instant),
  createdAt: Instant
}

/** A delivery of one event to one subscription. */
export const DeliveryRecord = Schema.Struct(members).annotate({ identifier: "WebhookDelivery" })

const AttemptRecord = Schema.Struct({
  at: Instant,
  durationMs: Schema.Int,
  /** Null when no answer came. */
  statusCode: Schema.NullOr(Schema.Int),
  /** Null when it was delivered. */
  error: Schema.NullOr(Schema.String),
  /** Beginning of the answer's body, at most 4 KiB; null when none came. */
  response: Schema.NullOr(Schema.String)
}).annotate({ identifier: "WebhookAttempt" })

/** A delivery with the bytes that are sent, and every attempt, oldest first. */
export const DeliveryDetailsRecord = Schema.Struct({
  ...members,
  /** Exactly as sent and signed. */
  body: Schema.String,
  attemptLog: Schema.Array(AttemptRecord)
}).annotate({ identifier: "WebhookDeliveryDetails" })

/** State of a circuit breaker, shared by all replicas. */
export const BreakerRecord = Schema.Struct({
  state: Schema.Literals(["closed", "open", "half_open"]),
  /** Consecutive failures. */
  failures: Schema.Int,
  /** Successes since the last failure. */
  consecutiveSuccesses: Schema.Int,
  /** Milliseconds since 1970; null while closed. */
  openedAt: Schema.NullOr(Schema.Int),
  /** Milliseconds since 1970; null while closed. */
  nextProbeAt: Schema.NullOr(Schema.Int)
}).annotate({ identifier: "WebhookCircuitBreaker" })

/** A delivery as lists carry it. */
export const deliveryRecord = (delivery: Delivery): typeof DeliveryRecord.Type => ({
  id: delivery.id,
  eventId: delivery.eventId,
  seq: delivery.seq,
  eventType: delivery.eventType,
  status: delivery.status,
  attempts: delivery.attempts,
  statusCode: delivery.statusCode,
  error: delivery.error,
  nextRetryAt: delivery.nextRetryAt?.toISOString() ?? null,
  deliveredAt: delivery.deliveredAt?.toISOString() ?? null,
  createdAt: delivery.createdAt.toISOString()
})

/** A delivery with everything that is known of it. */
export const deliveryDetailsRecord = (delivery: DeliveryDetails): typeof DeliveryDetailsRecord.Type => ({
  ...deliveryRecord(delivery),
  body: delivery.body,
  attemptLog: delivery.attemptLog.map(({ at, durationMs, error, response, statusCode }) => ({
    at: at.toISOString(),
    durationMs,
    statusCode,
    error,
    response
  }))
})

export const breakerRecord = ({
  consecutiveSuccesses,
  failures,
  nextProbeAt,
  openedAt,
  state
}: Breaker): typeof BreakerRecord.Type => ({
  state,
  failures,
  consecutiveSuccesses,
  openedAt: openedAt?.getTime() ?? null,
  nextProbeAt: nextProbeAt?.getTime() ?? null
})
