import { Schema } from "effect"
import type { Webhook } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** Values are compared exactly; an event must have all that are given. */
export const Filter = Schema.Struct({
  namespace: Schema.optionalKey(Schema.NonEmptyString),
  /** Either party of the event. */
  aid: Schema.optionalKey(Schema.NonEmptyString),
  runId: Schema.optionalKey(Schema.NonEmptyString)
}).annotate({ identifier: "WebhookFilter" })

/** Members of every answer that describes a subscription. */
export const members = {
  id: Schema.String.annotate({ format: "uuid" }),
  url: Schema.String,
  /** Names as given; a name may end in `.*`. Empty: the six types that are delivered without being named. */
  events: Schema.Array(Schema.String),
  active: Schema.Boolean,
  createdAt: Instant,
  updatedAt: Instant,
  filter: Filter,
  /** Last four characters of the secret; empty when it has less than eight. */
  secretHint: Schema.String,
  /** When the service itself made it inactive; null once it is activated again. */
  disabledAt: Schema.NullOr(Instant),
  /** `failing`: nothing but failures for days. `gone`: the receiver answered 410. */
  disabledReason: Schema.NullOr(Schema.String),
  breaker: Schema.Literals(["closed", "open", "half_open"])
}

/** A subscription. Its secret is shown when it is made and when it is rotated, and never again. */
export const WebhookRecord = Schema.Struct(members).annotate({ identifier: "Webhook" })

/** A subscription as answers carry it. */
export const webhookRecord = (webhook: Webhook): typeof WebhookRecord.Type => ({
  id: webhook.id,
  url: webhook.url,
  events: webhook.events,
  active: webhook.active,
  createdAt: webhook.createdAt.toISOString(),
  updatedAt: webhook.updatedAt.toISOString(),
  filter: webhook.filter,
  secretHint: webhook.secretHint,
  disabledAt: webhook.disabledAt?.toISOString() ?? null,
  disabledReason: webhook.disabledReason,
  breaker: webhook.breaker
})
