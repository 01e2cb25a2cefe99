import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { AdminAudit } from "./AdminAudit.ts"
import { adminAuditQuery } from "./api.ts"

const actCursors = cursors(Schema.Struct({ createdAt: Instant, id: Schema.String.check(Schema.isUUID()) }))

export const AdminAuditHttp = HttpApiBuilder.group(
  Api,
  "admin-audit",
  Effect.fn(function* (handlers) {
    const audit = yield* AdminAudit

    return handlers.handleRaw(
      "list",
      Effect.fnUntraced(function* ({ request }) {
        const { principal, route } = yield* CurrentRequest
        const { cursor, limit, offset, ...filters } = yield* Query.read(adminAuditQuery)
        const list = {
          route: route.template,
          filters,
          order: "createdAt,id desc",
          visibility: visibilityKey(principal.visibility)
        }
        const after = yield* Effect.fromResult(actCursors.read(list, cursor))
        const found = yield* audit.list(
          { ...filters, limit, offset: after === undefined ? offset : 0, after },
          principal.visibility
        )
        const { nextCursor, rows } = pageOf(found, limit, ({ createdAt, id }) =>
          actCursors.after(list, { createdAt, id })
        )
        const entries = rows.map((act) => ({ ...act, createdAt: act.createdAt.toISOString() }))
        return HttpServerResponse.jsonUnsafe(
          { entries, count: rows.length, nextCursor },
          { headers: Reply.pageHeaders(request, nextCursor) }
        )
      })
    )
  })
)
