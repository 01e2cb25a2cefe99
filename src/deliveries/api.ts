import { Schema, SchemaTransformation } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, open } from "../access/Access.ts"
import {
  BodyInvalid,
  CursorInvalid,
  BadRequest,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  NotFound
} from "../wire/errors.ts"
import { Conditional } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { parseInstant } from "../wire/time.ts"
import { BreakerRecord, DeliveryDetailsRecord, DeliveryRecord } from "./record.ts"

const DeliveryPage = Schema.Struct({
  deliveries: Schema.Array(DeliveryRecord),
  /** Deliveries in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "WebhookDeliveryPage" })

/** Anything a JavaScript `Date` parses. */
const Time = Schema.String.check(
  Schema.makeFilter((text) => parseInstant(text) !== undefined, { expected: "a time" })
).pipe(
  Schema.annotate({ format: "date-time" }),
  Schema.decodeTo(
    Schema.Date,
    SchemaTransformation.transform({
      decode: (text) => parseInstant(text) ?? new Date(Number.NaN), // refused above
      encode: (date) => date.toISOString()
    })
  )
)

/** Body of a recovery. */
export const RecoverRequest = Schema.Struct({
  /** Deliveries enqueued from then on, and with `missed` events stored from then on. */
  since: Time,
  /** Up to then, exclusive; absent: all. */
  until: Schema.optionalKey(Time),
  /**
   * Also enqueues the stored events that the subscription wants, as it is now, and was never given: those from before it
   * was made, while it was inactive, or before its filter was changed. None is enqueued twice.
   */
  missed: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "RecoverWebhookDeliveries" })

/** What one redelivery did. */
export const Redelivered = Schema.Struct({
  /** 1, or 0 while an attempt is under way. */
  requeued: Schema.Int
}).annotate({ identifier: "RedeliveredWebhook" })

/** What a recovery did. */
export const Recovered = Schema.Struct({
  /** Deliveries that are due now; at most 10,000 that had failed, and as many that were missed. */
  requeued: Schema.Int,
  /** Null when the whole window was dealt with; otherwise the `since` of the call that goes on. */
  next: Schema.NullOr(Schema.String.annotate({ format: "date-time" }))
}).annotate({ identifier: "RecoveredWebhookDeliveries" })

const Tested = Schema.Struct({
  /** Listed among the deliveries, with the whole answer. */
  deliveryId: Schema.String.annotate({ format: "uuid" }),
  delivered: Schema.Boolean,
  statusCode: Schema.NullOr(Schema.Int),
  durationMs: Schema.Int,
  error: Schema.NullOr(Schema.String)
}).annotate({ identifier: "TestedWebhook" })

const SigningKeySet = Schema.Struct({
  keys: Schema.Array(
    Schema.Struct({
      kty: Schema.Literal("OKP"),
      crv: Schema.Literal("Ed25519"),
      /** Public key, base64url. */
      x: Schema.String,
      /** `wh-` and the thumbprint of the key (RFC 7638). */
      kid: Schema.String,
      use: Schema.Literal("sig"),
      alg: Schema.Literal("EdDSA")
    })
  )
}).annotate({ identifier: "SigningKeySet" })

/** Query of the list. */
export const deliveryQuery = Query.make({
  status: Query.text(["status"], "`pending`, `delivered` or `failed`."),
  eventType: Query.text(["event_type", "eventType"], "Canonical type of the event."),
  limit: Query.limit({ default: 100, max: 1000 }),
  cursor: Query.cursor
})

const params = { id: Schema.String }
const one = { id: Schema.String, deliveryId: Schema.String }
const reads = anyOf("webhooks:read")
const writes = anyOf("webhooks:write")
const keyed = [IdempotencyKeyInvalid, IdempotencyInProgress, IdempotencyKeyReused] as const
const about = (summary: string) => OpenApi.annotations({ summary })

/** What is sent to subscriptions, and what operators can do about it. */
export const DeliveriesApi = HttpApiGroup.make("webhook-deliveries")
  .add(
    HttpApiEndpoint.get("breaker", "/api/webhooks/:id/circuit-breaker", {
      params,
      success: BreakerRecord,
      error: NotFound
    })
      .annotate(Access, reads)
      .annotateMerge(about("Circuit breaker of a subscription's endpoint")),
    HttpApiEndpoint.post("reset", "/api/webhooks/:id/circuit-breaker/reset", {
      params,
      success: BreakerRecord,
      error: NotFound
    })
      .annotate(Access, writes)
      .annotateMerge(about("Closes the circuit breaker; due deliveries go on")),
    HttpApiEndpoint.post("test", "/api/webhooks/:id/test", { params, success: Tested, error: NotFound })
      .annotate(Access, writes)
      .annotateMerge(about("Sends one `webhook.test`, once, and says what came of it")),
    HttpApiEndpoint.get("list", "/api/webhooks/:id/deliveries", {
      params,
      success: DeliveryPage,
      error: [BadRequest, CursorInvalid, NotFound]
    })
      .annotate(Access, reads)
      .annotate(Query.QueryParameters, deliveryQuery.parameters)
      .annotateMerge(
        about("Deliveries of a subscription, newest first; those that failed for good are `failed`")
      ),
    HttpApiEndpoint.get("get", "/api/webhooks/:id/deliveries/:deliveryId", {
      params: one,
      success: DeliveryDetailsRecord,
      error: NotFound
    })
      .annotate(Access, reads)
      .annotateMerge(about("One delivery with its body and attempts")),
    HttpApiEndpoint.post("redeliver", "/api/webhooks/:id/deliveries/:deliveryId/redeliver", {
      params: one,
      success: Redelivered.pipe(HttpApiSchema.status(202)),
      error: [NotFound, ...keyed]
    })
      .annotate(Access, writes)
      .annotateMerge(about("Sends one delivery again, in whatever state it is")),
    HttpApiEndpoint.post("recover", "/api/webhooks/:id/recover", {
      params,
      payload: RecoverRequest,
      success: Recovered.pipe(HttpApiSchema.status(202)),
      error: [BodyInvalid, NotFound, ...keyed]
    })
      .annotate(Access, writes)
      .annotateMerge(
        about("Sends failed deliveries of a time again, and with `missed` events never enqueued")
      )
  )
  .annotateMerge(OpenApi.annotations({ title: "Webhook deliveries" }))

/** Keys that receivers check signatures with. */
export const SigningKeysApi = HttpApiGroup.make("signing-keys")
  .add(
    HttpApiEndpoint.get("jwks", "/.well-known/jwks.json", { success: SigningKeySet })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("Public keys of the asymmetric webhook signatures"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Signing keys" }))
