import { Effect, Option, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import { contentDigest } from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { MAX_EVENTS, replayQuery, sessionExportQuery, sessionQuery } from "./api.ts"
import { sessionRecord } from "./record.ts"
import { SessionExport } from "./SessionExport.ts"
import { Sessions } from "./Sessions.ts"

const sessionCursors = cursors(Schema.Struct({ createdAt: Instant, sessionId: Schema.String }))
const eventCursors = cursors(Schema.Struct({ ts: Instant, seq: Schema.Int }))

export const SessionsHttp = HttpApiBuilder.group(
  Api,
  "sessions",
  Effect.fn(function* (handlers) {
    const sessions = yield* Sessions
    const exports = yield* SessionExport

    const find = Effect.fnUntraced(function* (sessionId: string) {
      const { principal } = yield* CurrentRequest
      const session = yield* sessions.findById(sessionId, principal.visibility)
      return Option.isSome(session) ? session.value : yield* new NotFound({ error: "no such session" })
    })

    return handlers
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset, ...filters } = yield* Query.read(sessionQuery)
          const list = {
            route: route.template,
            filters,
            order: "createdAt,sessionId desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(sessionCursors.read(list, cursor))
          const found = yield* sessions.list(
            { ...filters, limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ createdAt, sessionId }) =>
            sessionCursors.after(list, { createdAt, sessionId })
          )
          return HttpServerResponse.jsonUnsafe(
            { sessions: rows.map(sessionRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const session = yield* find(params.sessionId)
          const events = yield* exports.events(session.sessionId, {}, MAX_EVENTS, principal.visibility)
          return Reply.text(
            `{"session":${JSON.stringify(sessionRecord(session))},"events":${events.json}${events.more ? ',"truncated":true' : ""}}`
          )
        })
      )
      .handleRaw(
        "export",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const { eventLimit, format } = yield* Query.read(sessionExportQuery)
          const session = yield* find(params.sessionId)
          if (format !== "jsonl") {
            const document = yield* exports.document(session, eventLimit, principal.visibility)
            return Reply.text(document, { headers: { "content-digest": contentDigest(document) } })
          }
          return HttpServerResponse.stream(
            Stream.encodeText(exports.lines(session, eventLimit, principal.visibility)),
            {
              contentType: "application/x-ndjson",
              headers: {
                "content-disposition": `attachment; filename="session-${encodeURIComponent(session.sessionId)}.jsonl"`
              }
            }
          )
        })
      )
      .handleRaw(
        "replay",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, ...range } = yield* Query.read(replayQuery)
          const { sessionId } = params
          const list = {
            route: route.template,
            filters: { sessionId, ...range },
            order: "ts,seq asc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(eventCursors.read(list, cursor))
          const { count, json, last, more } = yield* exports.events(
            sessionId,
            { ...range, after },
            limit,
            principal.visibility
          )
          const nextCursor =
            more && last !== undefined ? eventCursors.after(list, { ts: last.ts, seq: last.seq }) : null
          return Reply.text(
            `{"sessionId":${JSON.stringify(sessionId)},"count":${count},"events":${json},"nextCursor":${JSON.stringify(nextCursor)}}`,
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
  })
)
