import { type Redacted, Schema } from "effect"

/** State of a circuit breaker; half open: one attempt is let through to see. */
export type BreakerState = "closed" | "open" | "half_open"

/** Why the service itself has disabled a subscription: only failures for too long, or the receiver answered 410. */
export type DisabledReason = "failing" | "gone"

/** What an event must have besides its type; absent members do not matter. */
export interface WebhookFilter {
  readonly namespace?: string
  /** Either party, as the event spells it. */
  readonly aid?: string
  readonly runId?: string
}

/** A subscription, without its secret. */
export interface Webhook {
  /** UUIDv7, lower case. */
  readonly id: string
  /** As given. */
  readonly url: string
  /** Names of event types, as given; empty: all that are delivered without being named. */
  readonly events: ReadonlyArray<string>
  readonly filter: WebhookFilter
  readonly active: boolean
  /** See `secretHint`. */
  readonly secretHint: string
  /** When the service disabled it; null unless it did. */
  readonly disabledAt: Date | null
  readonly disabledReason: string | null
  readonly breaker: BreakerState
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Where and how deliveries of a subscription go. */
export interface WebhookTarget {
  readonly id: string
  readonly url: string
  readonly active: boolean
  /**
   * The current secret, then the previous one while it is still valid. Undefined when they cannot be decrypted here:
   * nothing may be sent.
   */
  readonly secrets:
    | readonly [current: Redacted.Redacted<string>, previous?: Redacted.Redacted<string>]
    | undefined
}

/** No subscription that the caller may see has this id. */
export class WebhookNotFound extends Schema.TaggedError<WebhookNotFound>()("WebhookNotFound", {}) {}

/** Longest secret, in code points. */
export const MAX_SECRET = 255

/** How long the secret before the current one stays valid unless said otherwise, in seconds: a day. */
export const DEFAULT_GRACE_SECS = 86_400

/** Longest time it may stay valid, in seconds: a week. */
export const MAX_GRACE_SECS = 604_800

/** Idempotency scope of the route that creates subscriptions. */
export const CREATE_SCOPE = "webhooks.create"

/** Longest URL, in UTF-8 bytes. */
export const MAX_URL_BYTES = 2048
