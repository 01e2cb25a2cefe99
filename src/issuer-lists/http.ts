import { Effect, Option, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { NotFound, RevocationUnavailable } from "../wire/errors.ts"
import { cursors, pageOf } from "../wire/page.ts"
import { issuerListQuery } from "./api.ts"
import { IssuerLists } from "./IssuerLists.ts"
import type { ListCopy } from "./model.ts"
import { issuerListRecord } from "./record.ts"

const listCursors = cursors(Schema.Struct({ aid: Schema.String }))

const etagOf = ({ sha256 }: ListCopy) => `"${Buffer.from(sha256).toString("base64url").slice(0, 27)}"`

const headersOf = (copy: ListCopy) => ({
  etag: etagOf(copy),
  "cache-control": "no-cache",
  "x-issuer-list-fetched-at": copy.checkedAt.toISOString(),
  age: String(Math.floor(copy.ageSecs))
})

/** The copy, while it may be served. */
const servable = <C extends ListCopy>(copy: C | null) => {
  if (copy === null)
    return Effect.fail(new RevocationUnavailable({ error: "the list has not been fetched yet" }))
  return copy.validForSecs > 0
    ? Effect.succeed(copy)
    : Effect.fail(new RevocationUnavailable({ error: "the copy of the list has expired" }))
}

export const IssuerListsHttp = HttpApiBuilder.group(
  Api,
  "issuer-lists",
  Effect.fn(function* (handlers) {
    const lists = yield* IssuerLists

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset } = yield* Query.read(issuerListQuery)
          const page = {
            route: route.template,
            filters: {},
            order: "aid",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(listCursors.read(page, cursor))
          const found = yield* lists.list(
            { limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ aid }) => listCursors.after(page, { aid }))
          return HttpServerResponse.jsonUnsafe(
            { issuers: rows.map(issuerListRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "copy",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          const found = yield* lists.findByAid(params.aid, principal.visibility)
          if (Option.isNone(found))
            return yield* new NotFound({ error: "no list of such an issuer is mirrored" })
          const { aid, copy: known } = found.value
          const described = yield* servable(known)
          if (Document.matches(request.headers["if-none-match"], etagOf(described))) {
            const headers = { ...headersOf(described), vary: "Accept-Encoding" }
            return HttpServerResponse.empty({ status: 304, headers })
          }
          // Read apart, because most requests end above; by now it may be a newer one.
          const copy = yield* servable(Option.getOrNull(yield* lists.readCopy(aid)))
          return HttpServerResponse.uint8Array(copy.body, {
            contentType: "application/json",
            headers: { ...headersOf(copy), "content-digest": Document.contentDigest(copy.body) }
          })
        })
      )
  })
)
