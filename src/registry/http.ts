import { Effect, Option, Result, Schema, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Principal } from "../access/Principal.ts"
import { visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import * as Body from "../http/Body.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Shortcuts } from "../http/Shortcuts.ts"
import { Idempotency } from "../idempotency/Idempotency.ts"
import { idempotentRoute } from "../idempotency/route.ts"
import {
  AgentNotActive,
  AidFormConflict,
  BadRequest,
  BodyInvalid,
  ManifestExpired,
  ManifestInvalid,
  ManifestStale,
  NotFound,
  ServerMisconfigured,
  TokenInvalid,
  TokenReplayed
} from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { Agents } from "./Agents.ts"
import { discoveryQuery, exportQuery } from "./api.ts"
import { Deregistration } from "./Deregistration.ts"
import type { AgentQuery } from "./discovery.ts"
import { Enrollment } from "./Enrollment.ts"
import { TOKEN_TTL_SECS } from "./enrollment-token.ts"
import { AgentExport } from "./AgentExport.ts"
import { openEnvelope } from "./manifest-check.ts"
import type { Agent, ManifestTooOld, ManifestUnacceptable } from "./model.ts"
import { isNamespace, MAX_NAMESPACE } from "./namespace.ts"
import { agentRecord, manifestUrl } from "./record.ts"
import { countRefusal, seedRefusals } from "./refusal-metrics.ts"
import { Registration } from "./Registration.ts"
import { RegistryAnswers } from "./RegistryAnswers.ts"

const notFound = () => new NotFound({ error: "no such agent" })

/** What a refused manifest tells besides its code. */
const refusal = ({ message, protocolCode, verifyCode }: ManifestUnacceptable | ManifestTooOld) => ({
  error: message,
  ...(verifyCode === undefined ? {} : { verifyCode }),
  ...(protocolCode === undefined ? {} : { protocolCode })
})

/** Failures that enrolment and registration share, in their public form. */
const shared = {
  EnrollmentBodyInvalid: ({ message }: { readonly message: string }) => new BodyInvalid({ error: message }),
  ManifestUnacceptable: (error: ManifestUnacceptable) => new ManifestInvalid(refusal(error)),
  EnrollmentUnavailable: () =>
    new ServerMisconfigured({ error: "enrolment is not configured on this server" }),
  ManifestOutdated: () => new ManifestStale({}),
  OtherSpellingRegistered: ({ aid }: { readonly aid: string }) => new AidFormConflict({ existing: { aid } })
} as const

/** The namespace a registration asks for; an empty header is none. */
const namespaceHeader = (request: HttpServerRequest.HttpServerRequest) => {
  const value = request.headers["x-aitp-namespace"]?.trim()
  if (value === undefined || value === "") return Effect.undefined
  const text = Buffer.from(value, "latin1").toString("utf8") // Node hands header bytes over as Latin-1
  return isNamespace(text)
    ? Effect.succeed(text)
    : Effect.fail(new BadRequest({ error: `X-Aitp-Namespace must have at most ${MAX_NAMESPACE} characters` }))
}

/** The credential in `Authorization`, after `Bearer` or bare. */
const bearer = (request: HttpServerRequest.HttpServerRequest): string =>
  (request.headers["authorization"] ?? "").replace(/^bearer\s+/i, "").trim()

const registering = idempotentRoute({
  scope: "agents.register",
  status: 201,
  facts: Schema.Struct({
    aid: Schema.String,
    displayName: Schema.String,
    registeredAt: Schema.String,
    namespace: Schema.String,
    lastEnrolledAt: Schema.String,
    conformanceFindings: Schema.Array(Schema.String)
  }),
  render: (agent) =>
    HttpServerResponse.jsonUnsafe(
      {
        aid: agent.aid,
        displayName: agent.displayName,
        registeredAt: agent.registeredAt,
        namespace: agent.namespace,
        lastEnrolledAt: agent.lastEnrolledAt,
        manifestUrl: manifestUrl(agent.aid),
        conformanceFindings: agent.conformanceFindings
      },
      { status: 201 }
    )
})

/** Refuses what is no JSON object; everything else about a body is the registration's to judge. */
const checkObject = (body: Buffer) =>
  Effect.suspend(() => {
    const opened = openEnvelope(body)
    if (Result.isSuccess(opened)) return Effect.void
    const isJson = opened.failure._tag !== "EnrollmentBodyInvalid"
    const isObject = body.toString("latin1").trimStart().startsWith("{")
    return isJson && isObject ? Effect.void : Effect.fail(shared.EnrollmentBodyInvalid(opened.failure))
  })

const isStatus = Schema.is(Schema.Literals(["active", "expired", "deregistered", "all"]))

const agentCursors = cursors(Schema.Struct({ registeredAt: Instant, aid: Schema.String }))

/** Asked for by every agent that looks for another. */
const ANSWERED_PATHS = [
  "/api/registry/agents",
  "/api/registry/agents/:aid",
  "/api/registry/agents/:aid/manifest"
]

/** When the first of the active agents expires, ms since 1970. */
const firstExpiry = (agents: ReadonlyArray<Agent>): number =>
  agents.reduce(
    (first, { manifestExpiresAt, status }) =>
      status === "active" ? Math.min(first, manifestExpiresAt.getTime()) : first,
    Number.POSITIVE_INFINITY
  )

export const RegistryHttp = HttpApiBuilder.group(
  Api,
  "registry",
  Effect.fn(function* (handlers) {
    const agents = yield* Agents
    const enrollment = yield* Enrollment
    const idempotency = yield* Idempotency
    const registration = yield* Registration
    const deregistration = yield* Deregistration
    const exports = yield* AgentExport
    const answers = yield* RegistryAnswers
    const shortcuts = yield* Shortcuts
    for (const path of ANSWERED_PATHS) shortcuts.add("GET", path, answers.immediate)
    yield* seedRefusals

    const find = Effect.fnUntraced(function* (aid: string) {
      const { principal } = yield* CurrentRequest
      const agent = yield* agents.findByAid(aid, principal.visibility)
      return Option.isSome(agent) ? agent.value : yield* notFound()
    })

    const discover = Effect.fnUntraced(function* (
      request: HttpServerRequest.HttpServerRequest,
      { visibility }: Principal,
      template: string
    ) {
      const { cursor, limit, offset, status, ...filters } = yield* Query.read(discoveryQuery)
      const list = {
        route: template,
        filters: { ...filters, status },
        order: "registeredAt,aid",
        visibility: visibilityKey(visibility)
      }
      const position = yield* Effect.fromResult(agentCursors.read(list, cursor))
      const query: AgentQuery = {
        ...filters,
        status: isStatus(status) ? status : "active",
        limit,
        offset: position === undefined ? offset : 0,
        after: position
      }
      const found = yield* agents.list(query, visibility)
      const { nextCursor, rows } = pageOf(found, limit, (last) =>
        agentCursors.after(list, { registeredAt: last.registeredAt, aid: last.aid })
      )
      const text = JSON.stringify({ agents: rows.map(agentRecord), count: rows.length, nextCursor })
      const page = Reply.text(text, { headers: Reply.pageHeaders(request, nextCursor) })
      // Others than active agents are listed among the expired ones when they expire: such a page may end at any time.
      const until = query.status === "active" || query.status === "all" ? firstExpiry(found) : 0
      return { to: () => page, length: text.length, until }
    })

    const describe = Effect.fnUntraced(function* (aid: string) {
      const { manifestJson: _, ...agent } = yield* find(aid)
      const record = JSON.stringify(agentRecord(agent))
      const document = Document.make(record, { cacheControl: "public, max-age=30" })
      return {
        to: (request: HttpServerRequest.HttpServerRequest) => Document.respond(document, request),
        length: record.length,
        until: firstExpiry([agent])
      }
    })

    const manifestOf = Effect.fnUntraced(function* (aid: string, { kind }: Principal) {
      const agent = yield* find(aid)
      const { manifestJson, status } = agent
      if (status !== "active" && kind !== "platform") return yield* new AgentNotActive({ status })
      const document = Document.make(
        manifestJson,
        status === "active"
          ? { cacheControl: "max-age=60" }
          : { cacheControl: "no-store", headers: { "aitp-agent-status": status } }
      )
      return {
        to: (request: HttpServerRequest.HttpServerRequest) => Document.respond(document, request),
        length: manifestJson.length,
        // To platform keys only, which the caller's visibility does not tell apart.
        until: status === "active" ? firstExpiry([agent]) : 0
      }
    })

    return handlers
      .handleRaw(
        "enroll",
        Effect.fnUntraced(function* () {
          const body = yield* Body.bytes
          const { claims, conformanceFindings, manifestSha256, token } = yield* Effect.catchTags(
            Effect.tapErrorTag(enrollment.enroll(body), "ManifestUnacceptable", countRefusal),
            shared
          )
          return HttpServerResponse.jsonUnsafe({
            token,
            expiresIn: TOKEN_TTL_SECS,
            aid: claims.sub,
            exp: claims.exp,
            jti: claims.jti,
            agentAid: claims.sub,
            manifestSha256: Buffer.from(manifestSha256).toString("hex"),
            conformanceFindings
          })
        })
      )
      .handleRaw(
        "register",
        Effect.fnUntraced(function* ({ request }) {
          const body = yield* Body.bytes
          const token = bearer(request)
          const { id } = yield* CurrentRequest
          return yield* idempotency.run(
            registering,
            { body, credentialHash: () => registration.credentialHash(token), precheck: checkObject(body) },
            Effect.fnUntraced(function* (reservation) {
              const namespace = yield* namespaceHeader(request)
              const agent = yield* registration
                .register({ body, token, namespace, requestId: id, reservation })
                .pipe(
                  Effect.tapErrorTag("ManifestUnacceptable", countRefusal),
                  Effect.tapErrorTag("ManifestTooOld", countRefusal),
                  Effect.catchTags({
                    ...shared,
                    ManifestTooOld: (error) => new ManifestExpired(refusal(error)),
                    TokenUnusable: () => new TokenInvalid({}),
                    TokenSpent: () => new TokenReplayed({})
                  })
                )
              const facts = {
                ...agent,
                registeredAt: agent.registeredAt.toISOString(),
                lastEnrolledAt: agent.lastEnrolledAt.toISOString()
              }
              return { facts, committed: true }
            })
          )
        })
      )
      .handleRaw(
        "list",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          return yield* answers.respond(request, principal, discover(request, principal, route.template))
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          return yield* answers.respond(request, principal, describe(params.aid))
        })
      )
      .handleRaw(
        "manifest",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          return yield* answers.respond(request, principal, manifestOf(params.aid, principal))
        })
      )
      .handleRaw(
        "export",
        Effect.fnUntraced(function* ({ params }) {
          const { principal } = yield* CurrentRequest
          const { eventLimit, format } = yield* Query.read(exportQuery)
          const agent = yield* find(params.aid)
          if (format !== "jsonl") {
            const text = yield* exports.document(agent, eventLimit, principal.visibility)
            return Reply.text(text, { headers: { "content-digest": Document.contentDigest(text) } })
          }
          return HttpServerResponse.stream(
            Stream.encodeText(exports.lines(agent, eventLimit, principal.visibility)),
            {
              contentType: "application/x-ndjson",
              headers: {
                "content-disposition": `attachment; filename="agent-${encodeURIComponent(agent.aid)}.jsonl"`
              }
            }
          )
        })
      )
      .handleRaw(
        "deregister",
        Effect.fnUntraced(function* ({ params }) {
          const { id, principal } = yield* CurrentRequest
          const aid = yield* Effect.catchTag(
            deregistration.deregister(params.aid, principal, id),
            "AgentNotFound",
            notFound
          )
          return HttpServerResponse.jsonUnsafe({ aid, status: "deregistered" })
        })
      )
  })
)
