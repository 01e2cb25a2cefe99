import { Clock, Effect, Metric, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpApiBuilder } from "effect/http-api"
import type { Principal } from "../access/Principal.ts"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import { AppConfig } from "../config.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as JsonText from "../http/JsonText.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { BodyInvalid, NotFound } from "../wire/errors.ts"
import { cursors, pageOf } from "../wire/page.ts"
import { historyQuery } from "./api.ts"
import { AuditEvents } from "./AuditEvents.ts"
import { Ingest } from "./Ingest.ts"
import type { Recorded } from "./model.ts"
import { type Batch, normaliseBatch } from "./normalise.ts"
import { renderEvent } from "./render.ts"
import { readReport } from "./report.ts"
import { mayNeedCleaning } from "./sanitise.ts"

/** Items whose refusal is explained. */
const MAX_ERRORS = 20

const dropped = Metric.counter("events_dropped_total", {
  description: "Reported items that were refused one by one.",
  incremental: true
})
const duplicates = Metric.counter("events_duplicate_total", {
  description: "Reported events that were known already.",
  incremental: true
})
const sanitised = Metric.counter("events_sanitized_total", {
  description: "Reported events stored with replaced characters or numbers.",
  incremental: true
})
const conflicts = Metric.counter("event_id_conflicts_total", {
  description: "Reported events whose id was known with other content.",
  incremental: true
})

const nothing: Recorded = { epoch: "", head: 0, seqs: [], outcomes: [] }

/** Answer to a report: what became of its items. */
const summary = (batch: Batch, { epoch, outcomes, seqs }: Recorded) => {
  const last = outcomes.lastIndexOf("stored")
  const inserted = outcomes.filter((outcome) => outcome === "stored").length
  return {
    ingested: outcomes.length,
    inserted,
    duplicates: outcomes.length - inserted,
    dropped: batch.dropped.length,
    sanitized: batch.sanitised,
    errors: batch.dropped.slice(0, MAX_ERRORS),
    position: last === -1 ? null : `${epoch}.${seqs[last] ?? 0}`
  }
}

const count = Effect.fnUntraced(function* (
  batch: Batch,
  answer: ReturnType<typeof summary>,
  recorded: Recorded
) {
  if (answer.dropped > 0) yield* Metric.update(dropped, answer.dropped)
  if (answer.duplicates > 0) yield* Metric.update(duplicates, answer.duplicates)
  if (batch.sanitised > 0) yield* Metric.update(sanitised, batch.sanitised)
  const conflicting = recorded.outcomes.filter((outcome) => outcome === "conflict").length
  if (conflicting > 0) yield* Metric.update(conflicts, conflicting)
})

/** Fingerprint of who reports: part of derived event ids, so that nobody can aim at another's. */
const fingerprint = ({ actorId, credentialHash }: Principal): string =>
  credentialHash === "" ? actorId : credentialHash

const eventCursors = cursors(Schema.Struct({ ts: Schema.String, seq: Schema.Int }))

export const EventsHttp = HttpApiBuilder.group(
  Api,
  "events",
  Effect.fn(function* (handlers) {
    const { events: limits } = yield* AppConfig
    const ingest = yield* Ingest
    const events = yield* AuditEvents
    const random = yield* SecureRandom.SecureRandom
    const newId = yield* Effect.map(
      Effect.context<never>(),
      (context) => () => Effect.runSyncWith(context)(random.uuidV7())
    )
    for (const counter of [dropped, duplicates, sanitised, conflicts]) yield* Metric.update(counter, 0)

    return handlers
      .handleRaw(
        "ingest",
        Effect.fnUntraced(function* () {
          const received = yield* Body.bytesUpTo(limits.maxBatchBytes)
          const receivedAt = yield* Clock.currentTimeMillis
          const { principal } = yield* CurrentRequest
          // Depth is judged item by item.
          const body = JsonText.parse(received, Number.POSITIVE_INFINITY)
          if ("refusal" in body) return yield* new BodyInvalid({ error: `request body ${body.refusal}` })
          const items = yield* Effect.fromResult(readReport(body.value, received.length, limits))
          const batch = normaliseBatch(items, {
            reporter: fingerprint(principal),
            receivedAt,
            mayBeUnclean: mayNeedCleaning(body.text),
            newId
          })
          const recorded =
            batch.events.length === 0
              ? nothing
              : yield* ingest.record({ principal, receivedAt }, batch.events)
          const answer = summary(batch, recorded)
          yield* count(batch, answer, recorded)
          return Reply.text(JSON.stringify(answer))
        }),
        // A client that hangs up does not undo what it reported.
        { uninterruptible: true }
      )
      .handleRaw(
        "history",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset, order, ...filters } = yield* Query.read(historyQuery)
          const direction = order === "asc" ? "asc" : "desc"
          const list = {
            route: route.template,
            filters,
            order: `ts,seq ${direction}`,
            visibility: visibilityKey(principal.visibility)
          }
          const position = yield* Effect.fromResult(eventCursors.read(list, cursor))
          const found = yield* events.history(
            {
              ...filters,
              order: direction,
              limit,
              offset: position === undefined ? offset : 0,
              after: position === undefined ? undefined : { ts: new Date(position.ts), seq: position.seq }
            },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, (last) =>
            eventCursors.after(list, { ts: last.ts.toISOString(), seq: last.seq })
          )
          return Reply.text(
            `{"events":[${rows.map(renderEvent).join(",")}],"count":${rows.length},"nextCursor":${JSON.stringify(nextCursor)}}`,
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const id = parseUuid(params.id)
          const event = id === undefined ? Option.none() : yield* events.findById(id, principal.visibility)
          if (Option.isNone(event)) return yield* new NotFound({ error: "no such event" })
          return Reply.text(renderEvent(event.value))
        })
      )
  })
)
