import { Schema } from "effect"

const Payload = Schema.Struct({
  id: Schema.String.annotate({ format: "uuid" }),
  /** As it was sent; `eventType` resolves aliases. */
  type: Schema.String,
  ts: Schema.String.annotate({ format: "date-time" }),
  aidA: Schema.optionalKey(Schema.String),
  aidB: Schema.optionalKey(Schema.String),
  sessionId: Schema.optionalKey(Schema.String),
  runId: Schema.optionalKey(Schema.String),
  grants: Schema.optionalKey(Schema.Array(Schema.String)),
  /** What the event says; absent once erased. */
  payload: Schema.optionalKey(Schema.Unknown),
  source: Schema.String,
  /** Position in the ledger, by which a receiver orders and notices gaps; absent in `webhook.test`. */
  seq: Schema.optionalKey(Schema.Int)
})

/** Body of a delivery; the same bytes on every attempt. */
const Message = Schema.Struct({
  deliveryId: Schema.String.annotate({ format: "uuid" }),
  /** Canonical type of the event, or `webhook.test`. */
  eventType: Schema.String,
  payload: Payload,
  enqueuedAt: Schema.String.annotate({ format: "date-time" })
}).annotate({ identifier: "WebhookMessage" })

const header = (name: string, description: string) => ({
  name,
  in: "header",
  required: true,
  description,
  schema: { type: "string" }
})

const operation = {
  tags: ["Webhook deliveries"],
  operationId: "webhook.message",
  summary: "What a subscription's URL is sent",
  security: [],
  parameters: [
    header("webhook-id", "Id of the event; the same on every attempt and for every subscription."),
    header("webhook-timestamp", "Unix seconds of the attempt."),
    header(
      "webhook-signature",
      "Standard Webhooks: `v1,…` for each valid secret and `v1a,…`, separated by spaces."
    ),
    header("X-Aitp-Event", "`eventType`."),
    header("X-Aitp-Delivery", "`deliveryId`."),
    header("X-Aitp-Attempt", "Number of the attempt, from 1."),
    header("X-Aitp-Signature", "`sha256=` and the hex HMAC-SHA-256 of the body under the current secret."),
    header("Content-Digest", "SHA-256 of the body (RFC 9530).")
  ],
  requestBody: {
    required: true,
    content: { "application/json": { schema: { $ref: "#/components/schemas/WebhookMessage" } } }
  },
  responses: {
    "2XX": { description: "Delivered." },
    "410": { description: "Nothing more is wanted: the subscription is disabled." },
    default: { description: "Tried again later; `Retry-After` of up to an hour is honoured." }
  }
}

/** An OpenAPI document with the requests that the service itself makes. */
export const withMessages = (document: Record<string, unknown>): Record<string, unknown> => {
  const components = (document["components"] ?? {}) as Readonly<Record<string, object>> // of an OpenAPI document
  return {
    ...document,
    webhooks: { message: { post: operation } },
    components: {
      ...components,
      schemas: { ...components["schemas"], ...Schema.toJsonSchemaDocument(Message).definitions }
    }
  }
}
