import { Clock, Effect, Option, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import { AppConfig } from "../config.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import { AlreadyExists, BodyInvalid, JwksNotCached, NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { Anchoring } from "./Anchoring.ts"
import { CreateTrustAnchor, trustAnchorQuery, trustDocumentQuery, UpdateTrustAnchor } from "./api.ts"
import { KeySets } from "./KeySets.ts"
import { DEFAULT_NAMESPACE, type TrustAnchor, type TrustAnchorExists, type TrustRefused } from "./model.ts"
import { jsonOf, trustAnchorRecord, TrustAnchorRecord } from "./record.ts"
import { TrustAnchors } from "./TrustAnchors.ts"
import { TrustDocument } from "./TrustDocument.ts"

const readCreate = Body.keyedObject(CreateTrustAnchor)
const readUpdate = Body.object(UpdateTrustAnchor)

const creating = idempotentRoute({
  scope: "trust-anchors.create",
  status: 201,
  facts: TrustAnchorRecord,
  render: (record) => Reply.text(jsonOf(TrustAnchorRecord, record), { status: 201 })
})

const anchorCursors = cursors(Schema.Struct({ createdAt: Instant, id: Schema.String.check(Schema.isUUID()) }))

const noSuchAnchor = () => new NotFound({ error: "no such trust anchor" })

const exists = ({ id }: TrustAnchorExists) =>
  new AlreadyExists({ error: "the namespace has a trust anchor with this issuer", existing: { id } })

const refused = ({ message }: TrustRefused) => new BodyInvalid({ error: message })

/** The id in a path. */
const idOf = (text: string) => {
  const id = parseUuid(text)
  return id === undefined ? Effect.fail(noSuchAnchor()) : Effect.succeed(id)
}

const acting = Effect.map(CurrentRequest, ({ id, principal }) => ({ requestId: id, principal }))

export const TrustAnchorsHttp = HttpApiBuilder.group(
  Api,
  "trust-anchors",
  Effect.fn(function* (handlers) {
    const { staleAfterMs } = (yield* AppConfig).jwks
    const anchoring = yield* Anchoring
    const anchors = yield* TrustAnchors
    const document = yield* TrustDocument
    const idempotency = yield* Idempotency
    const keySets = yield* KeySets

    /** Renders anchors as they are at this moment. */
    const recordsNow = Effect.map(
      Clock.currentTimeMillis,
      (now) => (anchor: TrustAnchor) =>
        trustAnchorRecord(
          anchor,
          anchor.jwksCachedAt !== null && now - anchor.jwksCachedAt.getTime() > staleAfterMs
        )
    )

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, namespace, offset } = yield* Query.read(trustAnchorQuery)
          const list = {
            route: route.template,
            filters: { namespace },
            order: "createdAt,id desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(anchorCursors.read(list, cursor))
          const found = yield* anchors.list(
            { namespace, limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ createdAt, id }) =>
            anchorCursors.after(list, { createdAt, id })
          )
          const record = yield* recordsNow
          return HttpServerResponse.jsonUnsafe(
            { trustAnchors: rows.map(record), count: rows.length, nextCursor },
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
              const anchor = yield* anchoring.create(yield* members, reservation, who).pipe(
                Effect.catchTags({
                  NamespaceNotVisible: () => new NotFound({ error: "no such namespace" }),
                  TrustAnchorExists: exists,
                  TrustRefused: refused
                })
              )
              return { facts: trustAnchorRecord(anchor, false), committed: true }
            })
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const anchor = yield* anchors.findById(yield* idOf(params.id), principal.visibility)
          if (Option.isNone(anchor)) return yield* noSuchAnchor()
          return HttpServerResponse.jsonUnsafe((yield* recordsNow)(anchor.value))
        })
      )
      .handleRaw(
        "update",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id)
          const changes = yield* readUpdate
          const anchor = yield* anchoring.update(id, changes, yield* acting).pipe(
            Effect.catchTags({
              TrustAnchorNotFound: noSuchAnchor,
              TrustAnchorExists: exists,
              TrustRefused: refused
            })
          )
          return HttpServerResponse.jsonUnsafe((yield* recordsNow)(anchor))
        })
      )
      .handleRaw(
        "remove",
        Effect.fnUntraced(function* ({ params }) {
          const id = yield* idOf(params.id)
          yield* Effect.catchTag(anchoring.remove(id, yield* acting), "TrustAnchorNotFound", noSuchAnchor)
          return HttpServerResponse.empty({ status: 204 })
        })
      )
      .handleRaw(
        "jwks",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          const found = yield* keySets.findByAnchor(yield* idOf(params.id), principal.visibility)
          if (Option.isNone(found)) return yield* noSuchAnchor()
          const { cachedAt, issuerUrl, text } = found.value
          if (text === null || cachedAt === null) return yield* new JwksNotCached({ issuerUrl })
          const headers = { "x-jwks-cached-at": cachedAt.toISOString() }
          return Document.respond(Document.make(text, { cacheControl: "max-age=300", headers }), request)
        })
      )
      .handleRaw(
        "document",
        Effect.fnUntraced(function* () {
          const { principal } = yield* CurrentRequest
          const { namespace } = yield* Query.read(trustDocumentQuery)
          return HttpServerResponse.jsonUnsafe(
            yield* document.read(namespace ?? DEFAULT_NAMESPACE, principal.visibility)
          )
        })
      )
  })
)
