import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { EventRecord } from "../events/api.ts"
import { TctExportRecord } from "../tcts/record.ts"
import { BadRequest, CursorInvalid, NotFound } from "../wire/errors.ts"
import { EXPORT_HEADERS, ResponseHeaders } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { SessionRecord } from "./record.ts"

/** Most events in one answer; larger sessions are read with `replay` or as JSON lines. */
export const MAX_EVENTS = 10_000

const SessionPage = Schema.Struct({
  sessions: Schema.Array(SessionRecord),
  /** Sessions in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "SessionPage" })

const Events = Schema.Array(EventRecord)

const SessionDetail = Schema.Struct({
  session: SessionRecord,
  /** By `ts`, then position; at most 10,000, and at most 64 MiB. */
  events: Events,
  /** There are more events. */
  truncated: Schema.optionalKey(Schema.Literal(true))
}).annotate({ identifier: "SessionDetail" })

const Replay = Schema.Struct({
  sessionId: Schema.String,
  /** Events in this page. */
  count: Schema.Int,
  /** By `ts`, then position; fewer than `limit` when they exceed 64 MiB. */
  events: Events,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "SessionReplay" })

const SessionExport = Schema.Struct({
  session: SessionRecord,
  /** At most 10,000. */
  tcts: Schema.Array(TctExportRecord),
  /** By `ts`, then position. */
  events: Events,
  exportedAt: Schema.String.annotate({ format: "date-time" }),
  /** There is more than fits; the lines have all of it. */
  truncated: Schema.optionalKey(Schema.Literal(true))
}).annotate({ identifier: "SessionExport" })

/** `{kind, record}` per line: the session, then each TCT and event. */
const ExportLines = Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))

/** Query of the list. */
export const sessionQuery = Query.make({
  status: Query.text(["status"], "`started`, `complete` (or `completed`) or `failed`; others match nothing."),
  runId: Query.text(["run_id", "runId"], "Run of the sessions."),
  aid: Query.text(["aid"], "Either party, as reported."),
  limit: Query.limit({ default: 200, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Query of an export. */
export const sessionExportQuery = Query.make({
  format: Query.text(["format"], "`json` (default) or `jsonl`."),
  eventLimit: Query.limit({
    names: ["event_limit", "eventLimit"],
    default: MAX_EVENTS,
    max: MAX_EVENTS,
    zero: "default"
  })
})

/** Query of a replay. */
export const replayQuery = Query.make({
  since: Query.instant(["since"], "Earliest `ts`, inclusive."),
  until: Query.instant(["until"], "Latest `ts`, inclusive."),
  limit: Query.limit({ default: 1000, max: MAX_EVENTS, zero: "default" }),
  cursor: Query.cursor
})

const params = { sessionId: Schema.String }
const about = (summary: string) => OpenApi.annotations({ summary })

/** Handshake sessions as reported events tell them. */
export const SessionsApi = HttpApiGroup.make("sessions")
  .add(
    HttpApiEndpoint.get("list", "/api/sessions", {
      success: SessionPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, sessionQuery.parameters)
      .annotateMerge(about("Sessions, newest first")),
    HttpApiEndpoint.get("get", "/api/sessions/:sessionId", {
      params,
      success: SessionDetail,
      error: NotFound
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("One session with its events, oldest first")),
    HttpApiEndpoint.get("export", "/api/sessions/:sessionId/export", {
      params,
      success: [SessionExport, ExportLines],
      error: [BadRequest, NotFound]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(ResponseHeaders, EXPORT_HEADERS)
      .annotate(Query.QueryParameters, sessionExportQuery.parameters)
      .annotateMerge(about("Everything reported about a session, as JSON or JSON lines")),
    HttpApiEndpoint.get("replay", "/api/sessions/:sessionId/replay", {
      params,
      success: Replay,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, replayQuery.parameters)
      .annotateMerge(about("Events of a session, oldest first; none when the session is unknown"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Sessions" }))
