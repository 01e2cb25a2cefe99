import type { KeyObject } from "node:crypto"
import { type Redacted, Schema } from "effect"
import type { BreakerState } from "../webhooks/model.ts"

/** `pending` while another attempt will be made. */
export type DeliveryStatus = "pending" | "delivered" | "failed"

/** A delivery as it is listed. */
export interface Delivery {
  readonly id: string
  readonly eventId: string
  /** Position of the event; null for a test, which is none. */
  readonly seq: number | null
  /** Canonical type. */
  readonly eventType: string
  readonly status: DeliveryStatus
  /** Attempts made. */
  readonly attempts: number
  /** Of the newest attempt; null when no answer came. */
  readonly statusCode: number | null
  /** Why the newest attempt failed, or why none is made; null once delivered. */
  readonly error: string | null
  /** Null unless pending. */
  readonly nextRetryAt: Date | null
  readonly deliveredAt: Date | null
  readonly createdAt: Date
}

/** One attempt as it is kept. */
export interface Attempt {
  readonly at: Date
  readonly durationMs: number
  readonly statusCode: number | null
  readonly error: string | null
  /** Beginning of the answer's body, at most 4 KiB; null when none came. */
  readonly response: string | null
}

/** A delivery with what was sent and what came of it. */
export interface DeliveryDetails extends Delivery {
  readonly body: string
  /** Oldest first. */
  readonly attemptLog: ReadonlyArray<Attempt>
}

/** What is sent, and how often it was tried. */
export interface Outgoing {
  readonly id: string
  readonly webhookId: string
  readonly eventId: string
  readonly eventType: string
  /** The exact text that is sent. */
  readonly body: string
  /** Attempts made so far. */
  readonly attempts: number
  /** Attempts that had been made when it was sent again by hand; retries are counted from there. */
  readonly retriesFrom: number
}

/** A delivery that this process may attempt while its lease lasts. */
export interface Claimed extends Outgoing {
  /** Changes with the subscription. */
  readonly version: string
  /** Attempts at once that the endpoint is given. */
  readonly slots: number
}

/** Where a delivery goes and what signs it. */
export interface Target {
  readonly url: string
  /** Undefined when the secrets cannot be read here: nothing can be sent. */
  readonly keys: TargetKeys | undefined
}

export interface TargetKeys {
  /** For `X-Aitp-Signature`: the current secret as it is shown. */
  readonly legacy: KeyObject
  /** For `webhook-signature`: one for each secret that is valid, the current one first. */
  readonly v1: ReadonlyArray<KeyObject>
  /** What must not be kept when a receiver sends it back. */
  readonly secrets: ReadonlyArray<Redacted.Redacted<string>>
}

/**
 * What an attempt says about the endpoint: it works, it does not, it asks to be spared, or it was not asked at all.
 */
export type Verdict = "up" | "down" | "busy" | "none"

/** What became of an attempt. */
export interface AttemptResult extends Attempt {
  readonly delivery: Outgoing
  /** Number of this attempt, from 1. */
  readonly n: number
  /** Of the delivery now. */
  readonly status: DeliveryStatus
  /** Until the next attempt; with `pending` only. */
  readonly delayMs: number | null
  readonly verdict: Verdict
  /** The receiver answered 410: it wants nothing more. */
  readonly gone: boolean
}

/** State of an endpoint after results were settled. */
export interface EndpointState {
  readonly webhookId: string
  /** Deliveries of the batch that were settled; the others had been lost. */
  readonly settled: ReadonlyArray<string>
  /** Both null when the subscription is gone. */
  readonly was: BreakerState | null
  readonly state: BreakerState | null
  /** Null: as many as configured. */
  readonly slots: number | null
}

/** The circuit breaker of an endpoint. */
export interface Breaker {
  readonly state: BreakerState
  /** Consecutive ones. */
  readonly failures: number
  readonly consecutiveSuccesses: number
  /** Both null while closed. */
  readonly openedAt: Date | null
  readonly nextProbeAt: Date | null
}

/** The subscription has no delivery with this id. */
export class DeliveryNotFound extends Schema.TaggedError<DeliveryNotFound>()("DeliveryNotFound", {}) {}

/** Type of the message that a test sends; it is no event. */
export const TEST_TYPE = "webhook.test"

/** Bytes of an answer that are read and kept. */
export const MAX_RESPONSE_BYTES = 4096
