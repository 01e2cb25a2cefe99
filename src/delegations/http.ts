import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { delegationQuery } from "./api.ts"
import { Delegations } from "./Delegations.ts"
import { DelegationTrees } from "./DelegationTrees.ts"
import { delegationRecord } from "./record.ts"

const delegationCursors = cursors(
  Schema.Struct({ issuedAt: Instant, jti: Schema.String.check(Schema.isUUID()) })
)

export const DelegationsHttp = HttpApiBuilder.group(
  Api,
  "delegations",
  Effect.fn(function* (handlers) {
    const delegations = yield* Delegations
    const trees = yield* DelegationTrees

    return handlers.handleRaw(
      "list",
      Effect.fnUntraced(function* ({ request }) {
        const { principal, route } = yield* CurrentRequest
        const { cursor, limit, offset, rootJti, ...filters } = yield* Query.read(delegationQuery)
        if (rootJti !== undefined) {
          const { count, json, truncated } = yield* trees.tree(rootJti, principal.visibility)
          return Reply.text(
            `{"delegations":${json},"count":${count},"nextCursor":null${truncated ? ',"truncated":true' : ""}}`
          )
        }
        const list = {
          route: route.template,
          filters,
          order: "issuedAt,jti desc",
          visibility: visibilityKey(principal.visibility)
        }
        const after = yield* Effect.fromResult(delegationCursors.read(list, cursor))
        const found = yield* delegations.list(
          { ...filters, limit, offset: after === undefined ? offset : 0, after },
          principal.visibility
        )
        const { nextCursor, rows } = pageOf(found, limit, ({ issuedAt, jti }) =>
          delegationCursors.after(list, { issuedAt, jti })
        )
        return HttpServerResponse.jsonUnsafe(
          { delegations: rows.map(delegationRecord), count: rows.length, nextCursor },
          { headers: Reply.pageHeaders(request, nextCursor) }
        )
      })
    )
  })
)
