import type { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Effect, Option, Schema } from "effect"
import { HttpBody, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { visibilityKey } from "../access/Visibility.ts"
import { parseAid, spellingsOf } from "../aitp/aid.ts"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Shortcuts } from "../http/Shortcuts.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import { NotFound, RevocationUnavailable } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { entryQuery, LIST_PATHS } from "./api.ts"
import { Impact } from "./Impact.ts"
import * as ListDocument from "./list-document.ts"
import { ListPublisher } from "./ListPublisher.ts"
import type { ListSnapshot } from "./model.ts"
import { entryRecord, RevokedFacts } from "./record.ts"
import { readRequest, revocationOf } from "./request.ts"
import { RevocationEntries } from "./RevocationEntries.ts"
import { RevocationList } from "./RevocationList.ts"
import { Revoker } from "./Revoker.ts"

const entryCursors = cursors(Schema.Struct({ createdAt: Instant, jti: Schema.String.check(Schema.isUUID()) }))

/** The answer without `listVersion`, which is not known when the revocation is stored: see `withListVersion`. */
const revoking = idempotentRoute({
  scope: "revocation.entries",
  status: 201,
  facts: RevokedFacts,
  render: ({ alreadyRevoked, cascade, issuer, jti, reason, revokedAt }) =>
    HttpServerResponse.jsonUnsafe(
      {
        jti,
        revokedAt,
        reason,
        issuer,
        alreadyRevoked,
        cascade: {
          tcts: cascade.tcts,
          delegations: cascade.delegations,
          counts: { tcts: cascade.counts.tcts, delegations: cascade.counts.delegations }
        }
      },
      { status: 201 }
    )
})

/**
 * Adds `listVersion` as the last member, to first answers and replays alike. An entry has one such version for ever, so
 * they agree, unless the first one said null because there was none yet.
 */
const withListVersion = (response: HttpServerResponse.HttpServerResponse, version: number | null) => {
  const { body } = response
  if (body._tag !== "Uint8Array") return response
  const text = Buffer.from(body.body).toString("utf8")
  return HttpServerResponse.setBody(
    response,
    HttpBody.text(`${text.slice(0, -1)},"listVersion":${version}}`, "application/json")
  )
}

/** Longest time a client may keep the list, seconds. */
const LIST_CACHE = { cacheControl: "max-age=60" }

const sourceOf = (request: HttpServerRequest.HttpServerRequest) =>
  NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage // the only server behind this code is Node's

export const RevocationHttp = HttpApiBuilder.group(
  Api,
  "revocation",
  Effect.fn(function* (handlers) {
    const entries = yield* RevocationEntries
    const idempotency = yield* Idempotency
    const impact = yield* Impact
    const list = yield* RevocationList
    const publisher = yield* ListPublisher
    const revoker = yield* Revoker
    const shortcuts = yield* Shortcuts

    let document: ListDocument.CodedDocument | undefined
    let made: ListSnapshot | undefined
    const respond = (snapshot: ListSnapshot, request: HttpServerRequest.HttpServerRequest) => {
      if (document === undefined || made !== snapshot) {
        document = ListDocument.documentOf(snapshot, LIST_CACHE)
        made = snapshot
      }
      return ListDocument.respond(document, sourceOf(request))
    }
    for (const path of LIST_PATHS) {
      shortcuts.add("GET", path, (request) => {
        const snapshot = list.immediate()
        return snapshot === undefined ? undefined : respond(snapshot, request)
      })
    }
    const signedList = ({ request }: { readonly request: HttpServerRequest.HttpServerRequest }) =>
      list.current.pipe(
        Effect.map((snapshot) => respond(snapshot, request)),
        Effect.catchTag("ListUnavailable", () => Effect.fail(new RevocationUnavailable({})))
      )

    return handlers
      .handleRaw(
        "revoke",
        Effect.fnUntraced(function* () {
          const received = yield* Body.bytes
          const { id: requestId, principal } = yield* CurrentRequest
          const body = yield* Effect.fromResult(readRequest(received))
          const response = yield* idempotency.run(
            revoking,
            { body: received, credentialHash: () => principal.credentialHash },
            Effect.fnUntraced(function* (reservation) {
              const now = yield* Clock.currentTimeMillis
              const revocation = yield* Effect.fromResult(revocationOf(body, now))
              const revoked = yield* revoker.revoke(revocation, { principal, requestId, reservation })
              const facts = { ...revoked, revokedAt: revoked.revokedAt.toISOString() }
              return { facts, committed: !revoked.alreadyRevoked }
            })
          )
          const jti = typeof body["jti"] === "string" ? parseUuid(body["jti"]) : undefined
          if (response.status !== 201 || jti === undefined) return response
          return withListVersion(response, yield* publisher.covering(jti))
        })
      )
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit, offset, ...filters } = yield* Query.read(entryQuery)
          const page = {
            route: route.template,
            filters,
            order: "createdAt,jti desc",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(entryCursors.read(page, cursor))
          const { issuer, since } = filters
          const aid = issuer === undefined ? undefined : parseAid(issuer)
          const issuers = aid !== undefined ? spellingsOf(aid) : issuer === undefined ? undefined : [issuer]
          const found = yield* entries.list(
            { issuers, since, limit, offset: after === undefined ? offset : 0, after },
            principal.visibility
          )
          const { nextCursor, rows } = pageOf(found, limit, ({ createdAt, jti }) =>
            entryCursors.after(page, { createdAt, jti })
          )
          return HttpServerResponse.jsonUnsafe(
            { entries: rows.map(entryRecord), count: rows.length, nextCursor },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const jti = parseUuid(params.jti)
          const entry = jti === undefined ? Option.none() : yield* entries.findById(jti, principal.visibility)
          if (Option.isNone(entry)) return yield* new NotFound({ error: "no such entry" })
          return HttpServerResponse.jsonUnsafe(entryRecord(entry.value))
        })
      )
      .handleRaw(
        "impact",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const jti = parseUuid(params.jti)
          if (jti === undefined) return yield* new NotFound({ error: "not an id of anything" })
          return Reply.text(yield* impact.of(jti, principal.visibility))
        })
      )
      .handleRaw("signedList", signedList)
      .handleRaw("signedListAlias", signedList)
  })
)
