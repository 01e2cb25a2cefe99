import { Effect, Result, Schema, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
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
  AidFormConflict,
  BadRequest,
  BodyInvalid,
  ManifestExpired,
  ManifestInvalid,
  ManifestStale,
  ServerMisconfigured,
  TokenInvalid,
  TokenReplayed
} from "../wire/errors.ts"
import { Agents } from "./Agents.ts"
import { exportQuery } from "./api.ts"
import { Deregistration } from "./Deregistration.ts"
import { Enrollment } from "./Enrollment.ts"
import { TOKEN_TTL_SECS } from "./enrollment-token.ts"
import { agentNotFound, makeAgentAnswers } from "./agent-answers.ts"
import { AgentExport } from "./AgentExport.ts"
import { openEnvelope } from "./manifest-check.ts"
import type { ManifestTooOld, ManifestUnacceptable } from "./model.ts"
import { isNamespace, MAX_NAMESPACE } from "./namespace.ts"
import { manifestUrl } from "./record.ts"
import { countRefusal, seedRefusals } from "./refusal-metrics.ts"
import { Registration } from "./Registration.ts"
import { RegistryAnswers } from "./RegistryAnswers.ts"

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

/** Asked for by every agent that looks for another. */
const ANSWERED_PATHS = [
  "/api/registry/agents",
  "/api/registry/agents/:aid",
  "/api/registry/agents/:aid/manifest"
]

export const RegistryHttp = HttpApiBuilder.group(
  Api,
  "registry",
  Effect.fn(function* (handlers) {
    const { find, manifest, page, record } = makeAgentAnswers(yield* Agents)
    const enrollment = yield* Enrollment
    const idempotency = yield* Idempotency
    const registration = yield* Registration
    const deregistration = yield* Deregistration
    const exports = yield* AgentExport
    const answers = yield* RegistryAnswers
    const shortcuts = yield* Shortcuts
    for (const path of ANSWERED_PATHS) shortcuts.add("GET", path, answers.immediate)
    yield* seedRefusals

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
          const { principal } = yield* CurrentRequest
          return yield* answers.respond(request, principal, page(request))
        })
      )
      .handleRaw(
        "get",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          return yield* answers.respond(request, principal, record(params.aid))
        })
      )
      .handleRaw(
        "manifest",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          return yield* answers.respond(request, principal, manifest(params.aid, principal))
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
            agentNotFound
          )
          return HttpServerResponse.jsonUnsafe({ aid, status: "deregistered" })
        })
      )
  })
)
