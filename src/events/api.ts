import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { BodyLimit } from "../http/BodyLimit.ts"
import {
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  FilterInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  NotFound,
  PayloadTooLarge
} from "../wire/errors.ts"
import * as Query from "../wire/query.ts"

const Instant = Schema.String.annotate({ format: "date-time" })
const Text = Schema.NullOr(Schema.String)

/** An event as answers carry it; absent members are null. */
export const EventRecord = Schema.Struct({
  /** UUID; the one sent, or derived from what was sent. */
  id: Schema.String,
  type: Schema.String,
  /** When it happened, as its reporter says. */
  ts: Instant,
  /** The parties; usually AIDs, but opaque. */
  aidA: Text,
  aidB: Text,
  sessionId: Text,
  runId: Text,
  grants: Schema.NullOr(Schema.Array(Schema.String)),
  /** Object or array; null once erased. */
  payload: Schema.Unknown,
  /** Who made it; `cp` is this service. */
  source: Schema.String,
  /** When it was stored. */
  createdAt: Instant,
  /** Position: an integer from 1, given in commit order, without holes. */
  seq: Schema.Int,
  /** Actor id of who reported it. */
  reportedBy: Schema.String,
  namespace: Text,
  /** What was learnt from compact tokens in the payload, which are not kept. */
  artifacts: Schema.Unknown
}).annotate({ identifier: "Event" })

const Given = Schema.optionalKey(Schema.String)

const ReportedEvent = Schema.StructWithRest(
  Schema.Struct({
    /** A UUID is kept; any other text gives a UUID of its own; without one it is derived from the event. */
    id: Given,
    type: Given,
    /** Any time a JavaScript `Date` parses, or a number: seconds below 10¹², otherwise milliseconds. */
    ts: Schema.optionalKey(Schema.Union([Schema.String, Schema.Finite])),
    aidA: Given,
    aid_a: Given,
    initiator: Given,
    aidB: Given,
    aid_b: Given,
    target: Given,
    sessionId: Given,
    session_id: Given,
    runId: Given,
    run_id: Given,
    grants: Schema.optionalKey(Schema.Array(Schema.String)),
    /** An object or array; without one the whole event is the payload. */
    payload: Schema.optionalKey(Schema.Unknown),
    source: Given,
    namespace: Given
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
).annotate({
  identifier: "ReportedEvent",
  description: "Members of another type count as absent; of several spellings the first with a text wins."
})

const Ingested = Schema.Struct({
  /** Items accepted: new ones and duplicates. */
  ingested: Schema.Int,
  inserted: Schema.Int,
  duplicates: Schema.Int,
  /** Items refused one by one; the others are kept. */
  dropped: Schema.Int,
  /** Items stored with U+FFFD in place of what Postgres or UTF-8 cannot hold. */
  sanitized: Schema.Int,
  /** Why items were dropped; the first 20. */
  errors: Schema.Array(Schema.Struct({ index: Schema.Int, field: Schema.String, reason: Schema.String })),
  /** `<epoch>.<seq>` of the last new event; null when none was new. */
  position: Schema.NullOr(Schema.String)
}).annotate({ identifier: "Ingested" })

const EventPage = Schema.Struct({
  events: Schema.Array(EventRecord),
  /** Events in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
})

/** Query of history. */
export const historyQuery = Query.make(
  {
    type: Query.text(["type"], "Exact type; an alias finds the type it stands for."),
    aid: Query.text(["aid"], "Either party."),
    sessionId: Query.text(["session_id", "sessionId"], "Session of the events."),
    runId: Query.text(["run_id", "runId"], "Run of the events."),
    namespace: Query.text(["namespace"], "Namespace of the events."),
    source: Query.text(["source"], "Source of the events."),
    since: Query.instant(["since"], "Earliest `ts`, inclusive."),
    until: Query.instant(["until"], "Latest `ts`, inclusive."),
    order: Query.text(["order"], "`asc` for oldest first; anything else: newest first."),
    limit: Query.limit({ default: 100, max: 1000 }),
    offset: Query.offset,
    cursor: Query.cursor
  },
  FilterInvalid
)

const about = (summary: string) => OpenApi.annotations({ summary })

/** Largest ingest body the default configuration takes, bytes; the configured limit is applied by the handler. */
const MAX_INGEST_BYTES = 16_777_216

/** Reporting events and reading them back. */
export const EventsApi = HttpApiGroup.make("events")
  .add(
    HttpApiEndpoint.post("ingest", "/api/events", {
      payload: Schema.Union([
        Schema.Array(ReportedEvent),
        Schema.Struct({ events: Schema.optionalKey(Schema.NullOr(Schema.Array(ReportedEvent))) })
      ]),
      success: Ingested,
      error: [
        BodyInvalid,
        PayloadTooLarge,
        IdempotencyKeyInvalid,
        IdempotencyInProgress,
        IdempotencyKeyReused
      ]
    })
      .annotate(Access, anyOf("events:write"))
      .annotate(BodyLimit, MAX_INGEST_BYTES)
      .annotateMerge(about("Stores reported events; those already known change nothing")),
    HttpApiEndpoint.get("history", "/api/events/history", {
      success: EventPage,
      error: [BadRequest, FilterInvalid, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, historyQuery.parameters)
      .annotateMerge(about("Stored events by their own time, newest first")),
    HttpApiEndpoint.get("get", "/api/events/:id", {
      params: { id: Schema.String },
      success: EventRecord,
      error: NotFound
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("One event"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Events" }))
