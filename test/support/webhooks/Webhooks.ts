import { Effect, Layer, Redacted } from "effect"
import { platform } from "../../../src/access/Principal.ts"
import { Egress } from "../../../src/egress/Egress.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { Disabling } from "../../../src/webhooks/Disabling.ts"
import { RemovedWebhooks } from "../../../src/webhooks/RemovedWebhooks.ts"
import { SecretRewrap } from "../../../src/webhooks/SecretRewrap.ts"
import { type CreateRequest, Subscriptions } from "../../../src/webhooks/Subscriptions.ts"
import { Webhooks } from "../../../src/webhooks/Webhooks.ts"
import { WebhookSecrets } from "../../../src/webhooks/WebhookSecrets.ts"
import { Ledger } from "../events/Ledger.ts"

/** Subscriptions and their secrets over a database and keys; every URL is allowed. */
export const subscriptionServices = Layer.mergeAll(
  RemovedWebhooks.layer,
  SecretRewrap.layer,
  Subscriptions.layer
).pipe(
  Layer.provideMerge(Layer.mergeAll(IdempotencyKeys.layer, Webhooks.layer, WebhookSecrets.layer)),
  Layer.provide(Layer.mock(Egress)({ judge: () => Effect.void }))
)

/** Subscriptions over a ledger of the suite's own. */
export const WebhookSuite = Disabling.layer.pipe(
  Layer.provideMerge(subscriptionServices),
  Layer.provideMerge(Ledger)
)

export const operator = { principal: platform("operator-key"), requestId: "request-1" }

/** A subscription; its id and secret. */
export const subscribe = Effect.fnUntraced(function* (request: Partial<CreateRequest> = {}) {
  const { create } = yield* Subscriptions
  const created = yield* create(
    { url: "https://receiver.example.com/hook", ...request },
    operator,
    () => undefined
  )
  return { ...created.webhook, secret: Redacted.value(created.secret) }
})
