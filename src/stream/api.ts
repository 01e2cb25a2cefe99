import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { EventRecord } from "../events/api.ts"
import { CursorExpired, CursorInvalid, FilterInvalid, SseCapacity } from "../wire/errors.ts"
import { RequestHeaders, ResponseHeaders } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"

const filters = {
  type: Query.text(["type"], "Exact type; an alias finds the type it stands for."),
  aid: Query.text(["aid"], "Either party."),
  sessionId: Query.text(["session_id", "sessionId"], "Session of the events."),
  runId: Query.text(["run_id", "runId"], "Run of the events."),
  namespace: Query.text(["namespace"], "Namespace of the events."),
  source: Query.text(["source"], "Source of the events; `idp` events are left out unless asked for.")
}

/** Query of the stream. */
export const streamQuery = Query.make({
  ...filters,
  lastEventId: Query.text(
    ["last_event_id", "lastEventId"],
    "Continue after `<epoch>.<seq>` or `<seq>`; `earliest`: all that is kept; `latest`: only what comes. " +
      "The header `Last-Event-ID` wins. Absent: the last 100 events first."
  ),
  strict: Query.text(
    ["strict"],
    "`1`: a position that cannot be continued from is 410 or 400, not a reset frame."
  )
})

/** Longest time in s that a pull waits for an event. */
const MAX_WAIT = 25

const wait: Query.Parameter<number> = {
  names: ["wait"],
  description: "Seconds to wait for an event when there is none.",
  schema: { type: "number", minimum: 0, maximum: MAX_WAIT, default: 0 },
  read: (value) => {
    const seconds = Number(value ?? 0)
    return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_WAIT) : 0
  }
}

/** Query of the pull. */
export const pullQuery = Query.make(
  {
    ...filters,
    since: Query.instant(["since"], "Earliest `ts`, inclusive."),
    until: Query.instant(["until"], "Latest `ts`, inclusive."),
    after: Query.text(
      ["after"],
      "Continue after `<epoch>.<seq>` or `<seq>`; `earliest`: all that is kept. Absent: only what comes."
    ),
    wait,
    limit: Query.limit({ default: 100, max: 1000 })
  },
  FilterInvalid
)

const Pulled = Schema.Struct({
  /** In the order of their positions. */
  events: Schema.Array(EventRecord),
  /** `after` of the next pull. */
  next: Schema.String,
  /** Lineage of positions. */
  epoch: Schema.String,
  /** Newest position. */
  headSeq: Schema.Int,
  /** Whether there is more to pull now. */
  more: Schema.Boolean
}).annotate({ identifier: "PulledEvents" })

const LAST_EVENT_ID = { name: "Last-Event-ID", description: "As `last_event_id`, which it wins over." }

const STARTS_AFTER = {
  name: "Aitp-Last-Event-ID",
  description: "`<epoch>.<seq>`: the position that the first event comes after."
}

const about = (summary: string) => OpenApi.annotations({ summary })

/** Events as they are stored, pushed and pulled. */
export const StreamApi = HttpApiGroup.make("stream")
  .add(
    HttpApiEndpoint.get("stream", "/api/events/stream", {
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" })),
      error: [CursorInvalid, CursorExpired, SseCapacity]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, streamQuery.parameters)
      .annotate(RequestHeaders, [LAST_EVENT_ID])
      .annotate(ResponseHeaders, [STARTS_AFTER])
      .annotateMerge(about("Server-sent events, in the order of their positions")),
    HttpApiEndpoint.get("pull", "/api/events", {
      success: Pulled,
      error: [FilterInvalid, CursorInvalid, CursorExpired]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, pullQuery.parameters)
      .annotateMerge(about("Events after a position, with a wait for the first: the pull twin of the stream"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Event stream" }))
