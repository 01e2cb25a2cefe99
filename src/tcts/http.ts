import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { MAX_TCTS, tctQuery } from "./api.ts"
import type { TctQuery } from "./model.ts"
import { tctRecord } from "./record.ts"
import { Tcts } from "./Tcts.ts"

const tctCursors = cursors(
  Schema.Struct({ issuedAt: Instant, jti: Schema.String.check(Schema.isUUID()), issuerKey: Schema.String })
)

/** The first page of everything. */
const everything: TctQuery = {
  issuer: undefined,
  subject: undefined,
  audience: undefined,
  capability: undefined,
  sessionId: undefined,
  jti: undefined,
  active: false,
  limit: MAX_TCTS,
  offset: 0,
  after: undefined
}

export const TctsHttp = HttpApiBuilder.group(
  Api,
  "tcts",
  Effect.fn(function* (handlers) {
    const tcts = yield* Tcts

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset, ...filters } = yield* Query.read(tctQuery)
          const list = {
            route: route.template,
            filters,
            order: "issuedAt,jti,issuerKey desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(tctCursors.read(list, cursor))
          const found = yield* tcts.list(
            { ...filters, limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ issuedAt, issuerKey, jti }) =>
            tctCursors.after(list, { issuedAt, jti, issuerKey })
          )
          return HttpServerResponse.jsonUnsafe(
            { tcts: rows.map(tctRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const jti = parseUuid(params.jti)
          const found =
            jti === undefined ? [] : yield* tcts.list({ ...everything, jti }, principal.visibility)
          if (found.length === 0) return yield* new NotFound({ error: "no such TCT" })
          return HttpServerResponse.jsonUnsafe({ tcts: found.slice(0, MAX_TCTS).map(tctRecord) })
        })
      )
  })
)
