import { Effect, Option, Redacted, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import type { TargetRefused } from "../egress/model.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import { secretCompletion } from "../idempotency/secret-answer.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import { NotFound, UrlNotAllowed } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { CreatedWebhook, CreateWebhook, RotateSecret, UpdateWebhook, webhookQuery } from "./api.ts"
import { CREATE_SCOPE } from "./model.ts"
import { webhookRecord } from "./record.ts"
import { type Created, Subscriptions } from "./Subscriptions.ts"
import { Webhooks } from "./Webhooks.ts"

const readCreate = Body.keyedObject(CreateWebhook)
const readUpdate = Body.object(UpdateWebhook)
const readRotate = Body.objectOrNone(RotateSecret)

const creating = idempotentRoute({
  scope: CREATE_SCOPE,
  status: 201,
  facts: CreatedWebhook,
  render: (created) => HttpServerResponse.jsonUnsafe(created, { status: 201 })
})

const createdRecord = ({ secret, webhook }: Created): typeof CreatedWebhook.Type => {
  const { active, events, id, url, ...rest } = webhookRecord(webhook)
  return { id, url, events, secret: Redacted.value(secret), active, ...rest }
}

const webhookCursors = cursors(
  Schema.Struct({ createdAt: Instant, id: Schema.String.check(Schema.isUUID()) })
)

const noSuchWebhook = () => new NotFound({ error: "no such webhook" })

const targetRefused = ({ reason }: TargetRefused) =>
  new UrlNotAllowed({ error: `url: ${reason}`.slice(0, 199) })

/** The id in a path. */
const idOf = (text: string) => {
  const id = parseUuid(text)
  return id === undefined ? Effect.fail(noSuchWebhook()) : Effect.succeed(id)
}

const acting = Effect.map(CurrentRequest, ({ id, principal }) => ({ requestId: id, principal }))

export const WebhooksHttp = HttpApiBuilder.group(
  Api,
  "webhooks",
  Effect.fn(function* (handlers) {
    const dataKeys = yield* DataKeys
    const idempotency = yield* Idempotency
    const subscriptions = yield* Subscriptions
    const webhooks = yield* Webhooks

    const update = Effect.fnUntraced(function* ({ params }: { readonly params: { readonly id: string } }) {
      const id = yield* idOf(params.id)
      const changes = yield* readUpdate
      const webhook = yield* Effect.catchTags(subscriptions.update(id, changes, yield* acting), {
        TargetRefused: targetRefused,
        WebhookNotFound: noSuchWebhook
      })
      return HttpServerResponse.jsonUnsafe(webhookRecord(webhook))
    })

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset } = yield* Query.read(webhookQuery)
          const list = {
            route: route.template,
            filters: {},
            order: "createdAt,id",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(webhookCursors.read(list, cursor))
          const found = yield* webhooks.list(
            { limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ createdAt, id }) =>
            webhookCursors.after(list, { createdAt, id })
          )
          return HttpServerResponse.jsonUnsafe(
            { webhooks: rows.map(webhookRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "create",
        Effect.fnUntraced(function* () {
          const { members, received } = yield* readCreate
          const who = yield* acting
          return yield* idempotency.run(
            creating,
            { body: received, credentialHash: () => who.principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const created = yield* subscriptions
                .create(yield* members, who, (created) =>
                  reservation === undefined
                    ? undefined
                    : secretCompletion(dataKeys, reservation, creating.render(createdRecord(created)))
                )
                .pipe(Effect.catchTag("TargetRefused", targetRefused))
              return { facts: createdRecord(created), committed: true }
            })
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const webhook = yield* webhooks.findById(yield* idOf(params.id), principal.visibility)
          if (Option.isNone(webhook)) return yield* noSuchWebhook()
          return HttpServerResponse.jsonUnsafe(webhookRecord(webhook.value))
        })
      )
      .handleRaw("update", update)
      .handleRaw("replace", update)
      .handleRaw(
        "remove",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id)
          yield* Effect.catchTag(subscriptions.remove(id, yield* acting), "WebhookNotFound", noSuchWebhook)
          return HttpServerResponse.jsonUnsafe({ id, deleted: true })
        })
      )
      .handleRaw(
        "rotateSecret",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id)
          const given = yield* readRotate
          const { previousSecretExpiresAt, secret } = yield* Effect.catchTag(
            subscriptions.rotateSecret(id, given, yield* acting),
            "WebhookNotFound",
            noSuchWebhook
          )
          return HttpServerResponse.jsonUnsafe({
            id,
            secret: Redacted.value(secret),
            previousSecretExpiresAt: previousSecretExpiresAt?.toISOString() ?? null
          })
        })
      )
  })
)
