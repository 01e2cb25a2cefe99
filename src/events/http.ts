import { Clock, Effect, Option, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpApiBuilder } from "effect/http-api"
import type { Principal } from "../access/Principal.ts"
import { visibilityKey } from "../access/Visibility.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import { AppConfig } from "../config.ts"
import { completionWith } from "../idempotency/model.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as JsonText from "../http/JsonText.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { BodyInvalid, NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { historyQuery } from "./api.ts"
import { AuditEvents } from "./AuditEvents.ts"
import { Ingest } from "./Ingest.ts"
import { IngestMetrics, type Reported } from "./IngestMetrics.ts"
import type { Outcome, Recorded } from "./model.ts"
import { type Batch, normaliseBatch } from "./normalise.ts"
import { renderEvent } from "./render.ts"
import { readReport } from "./report.ts"
import { mayNeedCleaning } from "./sanitise.ts"
import { TokenVerifier } from "./TokenVerifier.ts"

/** Items whose refusal is explained. */
const MAX_ERRORS = 20

/** What an answer to a report is rendered from. */
const Facts = Schema.Struct({
  ingested: Schema.Int,
  inserted: Schema.Int,
  duplicates: Schema.Int,
  dropped: Schema.Int,
  sanitized: Schema.Int,
  errors: Schema.Array(Schema.Struct({ index: Schema.Int, field: Schema.String, reason: Schema.String })),
  position: Schema.NullOr(Schema.String)
})

const reporting = idempotentRoute({
  scope: "events.ingest",
  status: 200,
  facts: Facts,
  render: ({ dropped, duplicates, errors, ingested, inserted, position, sanitized }) =>
    Reply.text(JSON.stringify({ ingested, inserted, duplicates, dropped, sanitized, errors, position }))
})

/** What is known of an answer before anything is stored. */
const judged = (batch: Batch) => ({
  ingested: batch.events.length,
  dropped: batch.dropped.length,
  sanitized: batch.sanitised,
  errors: batch.dropped.slice(0, MAX_ERRORS)
})

/** What storing adds; the same that SQL adds to a completed idempotency key, see `ingest_v1`. */
const stored = ({ epoch, outcomes, seqs }: Recorded) => {
  const last = outcomes.lastIndexOf("stored")
  const inserted = outcomes.filter((outcome) => outcome === "stored").length
  return {
    inserted,
    duplicates: outcomes.length - inserted,
    position: last === -1 ? null : `${epoch}.${seqs[last] ?? 0}`
  }
}

const nothingStored = { inserted: 0, duplicates: 0, position: null }

const reported = (batch: Batch, recorded: Recorded | undefined): Reported => {
  const outcomes = recorded?.outcomes ?? []
  const of = (...kinds: ReadonlyArray<Outcome>) =>
    outcomes.filter((outcome) => kinds.includes(outcome)).length
  return {
    dropped: batch.dropped.length,
    duplicates: of("duplicate", "conflict", "unverifiable"),
    sanitised: batch.sanitised,
    conflicts: of("conflict"),
    uncheckedTokens: batch.uncheckedTokens,
    skipped: batch.skipped
  }
}

/** Fingerprint of who reports: part of derived event ids, so that nobody can aim at another's. */
const fingerprint = ({ actorId, credentialHash }: Principal): string =>
  credentialHash === "" ? actorId : credentialHash

const eventCursors = cursors(Schema.Struct({ ts: Instant, seq: Schema.Int }))

export const EventsHttp = HttpApiBuilder.group(
  Api,
  "events",
  Effect.fn(function* (handlers) {
    const { events: limits } = yield* AppConfig
    const idempotency = yield* Idempotency
    const ingest = yield* Ingest
    const events = yield* AuditEvents
    const metrics = yield* IngestMetrics
    const verifier = yield* TokenVerifier
    const random = yield* SecureRandom.SecureRandom
    const newId = yield* Effect.map(
      Effect.context<never>(),
      (context) => () => Effect.runSyncWith(context)(random.uuidV7())
    )
    const policy = {
      redact: limits.tokenRedaction,
      verification: limits.artifactVerification,
      maxPayloadBytes: limits.maxPayloadBytes
    }

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
          return yield* idempotency.run(
            reporting,
            { body: received, credentialHash: () => principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const tokens = yield* verifier.inspect(items)
              const batch = normaliseBatch(items, {
                tokens,
                reporter: fingerprint(principal),
                receivedAt,
                mayBeUnclean: mayNeedCleaning(body.text),
                newId,
                policy
              })
              const known = judged(batch)
              if (batch.failedArtifacts > 0) {
                yield* Effect.logWarning(`${batch.failedArtifacts} reported artifacts do not verify`)
              }
              if (batch.events.length === 0) {
                metrics.count(reported(batch, undefined))
                return { facts: { ...known, ...nothingStored }, committed: false }
              }
              const completion = reservation === undefined ? undefined : completionWith(reservation, known)
              const recorded = yield* ingest.record({ principal, receivedAt }, batch.events, completion)
              metrics.count(reported(batch, recorded))
              return { facts: { ...known, ...stored(recorded) }, committed: true }
            })
          )
        })
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
              after: position
            },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, (last) =>
            eventCursors.after(list, { ts: last.ts, seq: last.seq })
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
