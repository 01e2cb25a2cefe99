import type { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import { CursorExpired, CursorInvalid, JtiInvalid, RevocationUnavailable } from "../wire/errors.ts"
import { ChangeFeed } from "./ChangeFeed.ts"
import { changesQuery } from "./feed-api.ts"
import { FilterFeed } from "./FilterFeed.ts"
import * as ListDocument from "./list-document.ts"
import { StatusFeed } from "./StatusFeed.ts"

const versionPattern = /^(?:0|[1-9]\d{0,14})$/

const unavailable = () => Effect.fail(new RevocationUnavailable({}))

export const RevocationFeedsHttp = HttpApiBuilder.group(
  Api,
  "revocation-feeds",
  Effect.fn(function* (handlers) {
    const changes = yield* ChangeFeed
    const filters = yield* FilterFeed
    const statuses = yield* StatusFeed

    return handlers
      .handleRaw(
        "changes",
        Effect.fnUntraced(function* ({ request }) {
          const { after } = yield* Query.read(changesQuery)
          if (after !== undefined && !versionPattern.test(after)) {
            return yield* new CursorInvalid({ error: "after is not a version" })
          }
          const delta = yield* changes.after(after === undefined ? undefined : Number(after)).pipe(
            Effect.catchTags({
              ListUnavailable: unavailable,
              VersionUnknown: () => Effect.fail(new CursorInvalid({ error: "there is no such version yet" })),
              VersionExpired: ({ earliest }) =>
                Effect.fail(
                  new CursorExpired({
                    error: "changes since this version are not kept; take the full list",
                    earliest: String(earliest)
                  })
                )
            })
          )
          return Document.respond(delta, request)
        })
      )
      .handleRaw(
        "filter",
        Effect.fnUntraced(function* ({ request }) {
          const filter = yield* Effect.catchTag(filters.current, "ListUnavailable", unavailable)
          // the only server behind this code is Node's HTTP/1.1 one
          return ListDocument.respond(
            filter,
            NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
          )
        })
      )
      .handleRaw(
        "status",
        Effect.fnUntraced(function* ({ params, request }) {
          const jti = parseUuid(params.jti)
          if (jti === undefined) return yield* new JtiInvalid({})
          const status = yield* Effect.catchTag(statuses.of(jti), "ListUnavailable", unavailable)
          return Document.respond(status, request)
        })
      )
  })
)
