import { Effect, Option, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import { completionWith, type Reservation } from "../idempotency/model.ts"
import { Webhooks } from "../webhooks/Webhooks.ts"
import { NotFound } from "../wire/errors.ts"
import { cursors, pageOf } from "../wire/page.ts"
import { deliveryQuery, Recovered, RecoverRequest, Redelivered } from "./api.ts"
import { Breakers } from "./Breakers.ts"
import { Deliveries } from "./Deliveries.ts"
import { breakerRecord, deliveryDetailsRecord, deliveryRecord } from "./record.ts"
import { Recovery } from "./Recovery.ts"
import { SigningKeys } from "./SigningKeys.ts"

const readRecover = Body.keyedObject(RecoverRequest)

const redelivering = idempotentRoute({
  scope: "webhooks.redeliver",
  status: 202,
  facts: Redelivered,
  render: ({ requeued }) => HttpServerResponse.jsonUnsafe({ requeued }, { status: 202 })
})

const recovering = idempotentRoute({
  scope: "webhooks.recover",
  status: 202,
  facts: Recovered,
  render: ({ next, requeued }) => HttpServerResponse.jsonUnsafe({ requeued, next }, { status: 202 })
})

const deliveryCursors = cursors(
  Schema.Struct({
    createdAt: Schema.String.check(Schema.isPattern(/^\d{1,17}$/)),
    id: Schema.String.check(Schema.isUUID())
  })
)

const noSuchWebhook = () => new NotFound({ error: "no such webhook" })
const noSuchDelivery = () => new NotFound({ error: "no such delivery" })

/** The id in a path. */
const idOf = (text: string, missing: () => NotFound) => {
  const id = parseUuid(text)
  return id === undefined ? Effect.fail(missing()) : Effect.succeed(id)
}

const acting = Effect.map(CurrentRequest, ({ id, principal }) => ({ requestId: id, principal }))

/** SQL adds to these facts what it did. */
const completionOf = (reservation: Reservation | undefined) =>
  reservation === undefined ? undefined : completionWith(reservation, {})

export const DeliveriesHttp = HttpApiBuilder.group(
  Api,
  "webhook-deliveries",
  Effect.fn(function* (handlers) {
    const breakers = yield* Breakers
    const deliveries = yield* Deliveries
    const idempotency = yield* Idempotency
    const recovery = yield* Recovery
    const webhooks = yield* Webhooks

    /** The id of a subscription that the caller may see. */
    const webhookOf = Effect.fnUntraced(function* (text: string) {
      const { principal } = yield* CurrentRequest
      const id = yield* idOf(text, noSuchWebhook)
      const found = yield* webhooks.findById(id, principal.visibility)
      return Option.isSome(found) ? id : yield* noSuchWebhook()
    })

    return handlers
      .handleRaw(
        "breaker",
        Effect.fnUntraced(function* ({ params }) {
          const breaker = yield* breakers.find(yield* webhookOf(params.id))
          return HttpServerResponse.jsonUnsafe(breakerRecord(breaker))
        })
      )
      .handleRaw(
        "reset",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id, noSuchWebhook)
          const breaker = yield* Effect.catchTag(
            recovery.reset(id, yield* acting),
            "WebhookNotFound",
            noSuchWebhook
          )
          return HttpServerResponse.jsonUnsafe(breakerRecord(breaker))
        })
      )
      .handleRaw(
        "test",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id, noSuchWebhook)
          const { delivery, durationMs, error, status, statusCode } = yield* Effect.catchTag(
            recovery.test(id, yield* acting),
            "WebhookNotFound",
            noSuchWebhook
          )
          return HttpServerResponse.jsonUnsafe({
            deliveryId: delivery.id,
            delivered: status === "delivered",
            statusCode,
            durationMs,
            error
          })
        })
      )
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, ...filters } = yield* Query.read(deliveryQuery)
          const webhookId = yield* webhookOf(params.id)
          const list = {
            route: `${route.template} ${webhookId}`,
            filters,
            order: "createdAt,id desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(deliveryCursors.read(list, cursor))
          const found = yield* deliveries.list({ webhookId, ...filters, limit, after })
          const { nextCursor, rows } = pageOf(found, limit, ({ id, position }) =>
            deliveryCursors.after(list, { createdAt: position, id })
          )
          return HttpServerResponse.jsonUnsafe(
            { deliveries: rows.map(deliveryRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const webhookId = yield* webhookOf(params.id)
          const id = yield* idOf(params.deliveryId, noSuchDelivery)
          const delivery = yield* deliveries.findById(webhookId, id)
          if (Option.isNone(delivery)) return yield* noSuchDelivery()
          return HttpServerResponse.jsonUnsafe(deliveryDetailsRecord(delivery.value))
        })
      )
      .handleRaw(
        "redeliver",
        Effect.fnUntraced(function* ({ params }) {
          const received = yield* Body.bytes
          const who = yield* acting
          return yield* idempotency.run(
            redelivering,
            { body: received, credentialHash: () => who.principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const id = yield* idOf(params.id, noSuchWebhook)
              const deliveryId = yield* idOf(params.deliveryId, noSuchDelivery)
              const { requeued } = yield* Effect.catchTags(
                recovery.redeliver(id, deliveryId, who, completionOf(reservation)),
                { WebhookNotFound: noSuchWebhook, DeliveryNotFound: noSuchDelivery }
              )
              return { facts: { requeued }, committed: true }
            })
          )
        })
      )
      .handleRaw(
        "recover",
        Effect.fnUntraced(function* ({ params }) {
          const { members, received } = yield* readRecover
          const who = yield* acting
          return yield* idempotency.run(
            recovering,
            { body: received, credentialHash: () => who.principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const id = yield* idOf(params.id, noSuchWebhook)
              const { missed = false, since, until } = yield* members
              const { next, requeued } = yield* Effect.catchTag(
                recovery.recover(id, { since, until, missed }, who, completionOf(reservation)),
                "WebhookNotFound",
                noSuchWebhook
              )
              return { facts: { requeued, next: next?.toISOString() ?? null }, committed: true }
            })
          )
        })
      )
  })
)

export const SigningKeysHttp = HttpApiBuilder.group(
  Api,
  "signing-keys",
  Effect.fn(function* (handlers) {
    const keys = yield* SigningKeys
    return handlers.handleRaw("jwks", ({ request }) =>
      Effect.map(keys.document, (document) => Document.respond(document, request))
    )
  })
)
