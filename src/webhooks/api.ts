import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import {
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  NotFound,
  UrlNotAllowed
} from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { DEFAULT_GRACE_SECS, MAX_GRACE_SECS, MAX_SECRET, MAX_URL_BYTES } from "./model.ts"
import { Filter, members, WebhookRecord } from "./record.ts"

/** `http:` or `https:`; where it leads is the guard's to judge. */
const Url = Schema.String.check(
  Schema.makeFilter((text) => Buffer.byteLength(text) <= MAX_URL_BYTES, {
    expected: `at most ${MAX_URL_BYTES} bytes`
  })
)

const Secret = Schema.String.check(
  Schema.makeFilter((text) => [...text].length <= MAX_SECRET, {
    expected: `at most ${MAX_SECRET} characters`
  })
)

const OtherMember = Schema.String.check(
  Schema.makeFilter((name) => !Object.hasOwn(Filter.fields, name), { expected: "any other name" })
)

/** Without other members: a misspelt one would widen the subscription in silence. */
const GivenFilter = Schema.StructWithRest(Filter, [
  Schema.Record(OtherMember, Schema.Never.annotate({ message: "is not a member of a filter" }))
])

const optional = {
  /** Names of event types; unknown ones are kept. Empty: the six types that are delivered without being named. */
  events: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Empty counts as absent. */
  secret: Schema.optionalKey(Secret),
  active: Schema.optionalKey(Schema.Boolean),
  /** Replaces the whole filter. */
  filter: Schema.optionalKey(GivenFilter)
}

/** Body of a new subscription. Without a secret one is made; it is active unless said otherwise. */
export const CreateWebhook = Schema.Struct({ url: Url, ...optional }).annotate({
  identifier: "CreateWebhook"
})

/** Body of an update: what is absent stays as it is. A new secret leaves the one before it valid for a day. */
export const UpdateWebhook = Schema.Struct({ url: Schema.optionalKey(Url), ...optional }).annotate({
  identifier: "UpdateWebhook"
})

/** Body of a rotation. */
export const RotateSecret = Schema.Struct({
  /** Empty or absent: one is made. */
  secret: Schema.optionalKey(Secret),
  /** Seconds that the secret before stays valid; 86400 unless given. */
  graceSecs: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: MAX_GRACE_SECS })).annotate({
      default: DEFAULT_GRACE_SECS
    })
  )
}).annotate({ identifier: "RotateWebhookSecret" })

/** A new subscription; the only answer, but for a rotation, that shows its secret. */
export const CreatedWebhook = Schema.Struct({
  id: members.id,
  url: members.url,
  events: members.events,
  /** Signs deliveries, as it stands here. */
  secret: Schema.String,
  active: members.active,
  createdAt: members.createdAt,
  updatedAt: members.updatedAt,
  filter: members.filter,
  secretHint: members.secretHint,
  disabledAt: members.disabledAt,
  disabledReason: members.disabledReason,
  breaker: members.breaker
}).annotate({ identifier: "CreatedWebhook" })

const Rotated = Schema.Struct({
  id: members.id,
  /** Signs deliveries from now on. */
  secret: Schema.String,
  /** Until then deliveries are signed with the secret before, too; null: no longer. */
  previousSecretExpiresAt: Schema.NullOr(members.createdAt)
}).annotate({ identifier: "RotatedWebhookSecret" })

const Deleted = Schema.Struct({ id: members.id, deleted: Schema.Literal(true) })

const WebhookPage = Schema.Struct({
  webhooks: Schema.Array(WebhookRecord),
  /** Subscriptions in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "WebhookPage" })

/** Query of the list. */
export const webhookQuery = Query.make({
  limit: Query.limit({ default: 1000, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

const params = { id: Schema.String }
const reads = anyOf("webhooks:read")
const writes = anyOf("webhooks:write")
const about = (summary: string) => OpenApi.annotations({ summary })
const updating = {
  params,
  payload: UpdateWebhook,
  success: WebhookRecord,
  error: [BodyInvalid, UrlNotAllowed, NotFound]
} as const

/** Subscriptions to events. */
export const WebhooksApi = HttpApiGroup.make("webhooks")
  .add(
    HttpApiEndpoint.get("list", "/api/webhooks", { success: WebhookPage, error: [BadRequest, CursorInvalid] })
      .annotate(Access, reads)
      .annotate(Query.QueryParameters, webhookQuery.parameters)
      .annotateMerge(about("Subscriptions, oldest first")),
    HttpApiEndpoint.post("create", "/api/webhooks", {
      payload: CreateWebhook,
      success: CreatedWebhook.pipe(HttpApiSchema.status(201)),
      error: [BodyInvalid, UrlNotAllowed, IdempotencyKeyInvalid, IdempotencyInProgress, IdempotencyKeyReused]
    })
      .annotate(Access, writes)
      .annotateMerge(about("Subscribes; the answer shows the signing secret, this once")),
    HttpApiEndpoint.get("get", "/api/webhooks/:id", { params, success: WebhookRecord, error: NotFound })
      .annotate(Access, reads)
      .annotateMerge(about("One subscription")),
    HttpApiEndpoint.patch("update", "/api/webhooks/:id", updating)
      .annotate(Access, writes)
      .annotateMerge(about("Changes the members that are given")),
    HttpApiEndpoint.put("replace", "/api/webhooks/:id", updating)
      .annotate(Access, writes)
      .annotateMerge(about("The same as PATCH: what is absent stays as it is")),
    HttpApiEndpoint.delete("remove", "/api/webhooks/:id", { params, success: Deleted, error: NotFound })
      .annotate(Access, writes)
      .annotateMerge(about("Removes a subscription; its deliveries go with it")),
    HttpApiEndpoint.post("rotateSecret", "/api/webhooks/:id/rotate-secret", {
      params,
      payload: RotateSecret,
      success: Rotated,
      error: [BodyInvalid, NotFound]
    })
      .annotate(Access, writes)
      .annotateMerge(about("Another signing secret; the one before stays valid for a while"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Webhooks" }))
