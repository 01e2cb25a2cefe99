import { Effect, Option, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import { BadRequest, BodyInvalid, NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { parseInstant } from "../wire/time.ts"
import { DEFAULT_NAMESPACE } from "./model.ts"
import { PinnedKeys } from "./PinnedKeys.ts"
import { Pinning } from "./Pinning.ts"
import { PinKey, pinQuery, unpinQuery } from "./pins-api.ts"
import { jsonOf, pinnedKeyRecord, PinnedKeyRecord } from "./record.ts"

const readPin = Body.keyedObject(PinKey)

const pinning = idempotentRoute({
  scope: "pinned-keys.upsert",
  status: 201,
  facts: PinnedKeyRecord,
  render: (record) => Reply.text(jsonOf(PinnedKeyRecord, record), { status: 201 })
})

const pinCursors = cursors(
  Schema.Struct({ createdAt: Instant, namespace: Schema.String, aid: Schema.String })
)

const notPinned = () => new NotFound({ error: "no key is pinned for this aid in this namespace" })

const acting = Effect.map(CurrentRequest, ({ id, principal }) => ({ requestId: id, principal }))

export const PinnedKeysHttp = HttpApiBuilder.group(
  Api,
  "pinned-keys",
  Effect.fn(function* (handlers) {
    const idempotency = yield* Idempotency
    const pins = yield* PinnedKeys
    const service = yield* Pinning

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { aid, cursor, limit, namespace, offset } = yield* Query.read(pinQuery)
          if (aid !== undefined) {
            const pin = yield* pins.find(
              { namespace: namespace ?? DEFAULT_NAMESPACE, aid },
              principal.visibility
            )
            if (Option.isNone(pin)) return yield* notPinned()
            return HttpServerResponse.jsonUnsafe(pinnedKeyRecord(pin.value))
          }
          const list = {
            route: route.template,
            filters: { namespace },
            order: "createdAt,namespace,aid desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(pinCursors.read(list, cursor))
          const found = yield* pins.list(
            { namespace, limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ aid, createdAt, namespace }) =>
            pinCursors.after(list, { createdAt, namespace, aid })
          )
          return HttpServerResponse.jsonUnsafe(
            { pinnedKeys: rows.map(pinnedKeyRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "pin",
        Effect.fnUntraced(function* () {
          const { members, received } = yield* readPin
          const who = yield* acting
          return yield* idempotency.run(
            pinning,
            { body: received, credentialHash: () => who.principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const { expiresAt, ...rest } = yield* members
              const ends = typeof expiresAt === "string" ? (parseInstant(expiresAt) ?? null) : null
              const pin = yield* service.pin({ ...rest, expiresAt: ends }, reservation, who).pipe(
                Effect.catchTags({
                  NamespaceNotVisible: () => new NotFound({ error: "no such namespace" }),
                  TrustRefused: ({ message }) => new BodyInvalid({ error: message })
                })
              )
              return { facts: pinnedKeyRecord(pin), committed: true }
            })
          )
        })
      )
      .handleRaw(
        "unpin",
        Effect.fnUntraced(function* () {
          const { aid, namespace } = yield* Query.read(unpinQuery)
          if (aid === undefined) {
            return yield* new BadRequest({
              error: "aid is missing: name the pin to remove in the query, ?aid="
            })
          }
          const name = { namespace: namespace ?? DEFAULT_NAMESPACE, aid }
          yield* Effect.catchTag(service.unpin(name, yield* acting), "PinNotFound", notPinned)
          return HttpServerResponse.empty({ status: 204 })
        })
      )
  })
)
