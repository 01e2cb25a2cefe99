import { Schema } from "effect"

/** Whose key it is, and for what: the same key sent with another credential or to another route is another one. */
export interface Identity {
  /** `<resource>.<act>`, as `agents.register`. */
  readonly scope: string
  /** SHA-256, hex, of the credential, or of the principal's id where credentials change; empty: none was used. */
  readonly credentialHash: string
  readonly key: string
}

/** The right to run a request once, until its lease dies and another one takes it over. */
export interface Reservation extends Identity {
  /** The fence: effects and outcome are stored only while the row still carries it. */
  readonly leaseToken: string
  /** Status of the answer when the request succeeds. */
  readonly status: number
}

/** An answer as it is kept; one without `facts` and `body` has no body. */
export interface Answer {
  readonly status: number
  /** What the body is rendered from, by the same function for the answer and for each replay. */
  readonly facts?: unknown
  /** The body as sent; `encrypted` for the place `bodyContext` names when it shows a secret. */
  readonly body?: { readonly bytes: Uint8Array; readonly mediaType: string; readonly encrypted?: boolean }
}

/** Where the encrypted body of an answer belongs. */
export const bodyContext = ({ credentialHash, key, scope }: Identity) =>
  ["idempotency_keys.response_body", scope, credentialHash, key] as const

/** A reservation and the answer it is completed with, in the transaction of the effects. */
export interface Completion {
  readonly reservation: Reservation
  readonly answer: Answer
}

/** Completion of a request that succeeded; SQL may add facts that are known only there. */
export const completionWith = (reservation: Reservation, facts: unknown): Completion => ({
  reservation,
  answer: { status: reservation.status, facts }
})

/**
 * The request was paused for longer than its lease and another one has taken it over. Nothing was stored. Operations
 * fail with it; `Idempotency.run` turns it into whatever the other one has made of the key.
 */
export class ReservationLost extends Schema.TaggedError<ReservationLost>()("ReservationLost", {}) {}
