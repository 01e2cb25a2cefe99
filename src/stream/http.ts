import type { ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { CursorExpired, CursorInvalid, SseCapacity } from "../wire/errors.ts"
import { pullQuery, streamQuery } from "./api.ts"
import { AuditBus } from "./AuditBus.ts"
import { EventStreams } from "./EventStreams.ts"
import { formatPosition, parsePosition, type Start, startOf } from "./position.ts"
import { Pull } from "./Pull.ts"
import { selectionOf } from "./selection.ts"

/** Events that a stream without a position begins with. */
const REPLAY = 100

const CONTENT_TYPE = "text/event-stream"

const streamHeaders = {
  "cache-control": "no-cache, no-transform",
  connection: "keep-alive",
  // nginx would otherwise hold frames back
  "x-accel-buffering": "no"
}

export const StreamHttp = HttpApiBuilder.group(
  Api,
  "stream",
  Effect.fn(function* (handlers) {
    const { settle, tail } = yield* AuditBus
    const streams = yield* EventStreams
    const { pull } = yield* Pull

    /** The position to read after, or 400 or 410. */
    const positionOf = Effect.fnUntraced(function* (start: Start) {
      const settled = yield* settle(start)
      if ("after" in settled) return settled.after
      if (settled.refused === "malformed") return yield* new CursorInvalid({ error: "no such position" })
      return yield* new CursorExpired({ earliest: tail.position(tail.extent.oldest) })
    })

    return handlers
      .handleRaw(
        "stream",
        Effect.fnUntraced(function* ({ request }) {
          const { principal } = yield* CurrentRequest
          const { lastEventId, strict, ...filters } = yield* Query.read(streamQuery)
          const selection = selectionOf(
            { ...filters, since: undefined, until: undefined },
            principal.visibility
          )
          const asked = parsePosition(request.headers["last-event-id"] || lastEventId)
          let start = startOf(asked, tail.extent, () => tail.lookBack(selection, REPLAY))
          if (strict === "1" || strict === "true") start = { _tag: "after", seq: yield* positionOf(start) }

          const { epoch, head } = tail.extent
          const headers = {
            ...streamHeaders,
            "aitp-last-event-id": formatPosition(epoch, start._tag === "refused" ? head : start.seq)
          }
          if (request.method === "HEAD")
            return HttpServerResponse.empty({
              status: 200,
              headers: { ...headers, "content-type": CONTENT_TYPE }
            })

          const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse // the listener is HTTP/1.1
          if (!streams.admit(response)) return yield* new SseCapacity({})
          // The platform writes the head and ends the answer; in between the body writes to the response by itself.
          return HttpServerResponse.stream(
            Stream.fromEffectDrain(streams.serve(response, selection, start)),
            {
              contentType: CONTENT_TYPE,
              headers
            }
          )
        })
      )
      .handleRaw(
        "pull",
        Effect.fnUntraced(function* () {
          const { principal } = yield* CurrentRequest
          const { after, limit, wait, ...filters } = yield* Query.read(pullQuery)
          const selection = selectionOf(filters, principal.visibility)
          const from = yield* positionOf(startOf(parsePosition(after), tail.extent, () => tail.extent.head))
          const { events, more, next } = yield* pull(selection, from, limit, wait * 1000)
          const { epoch, head } = tail.extent
          return Reply.text(
            `{"events":[${events.join(",")}],"next":"${formatPosition(epoch, next)}","epoch":"${epoch}",` +
              `"headSeq":${head},"more":${more}}`
          )
        })
      )
  })
)
