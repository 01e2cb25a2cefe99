import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, allOf, enrollmentToken, open } from "../access/Access.ts"
import {
  AgentNotActive,
  AidFormConflict,
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  ManifestExpired,
  ManifestInvalid,
  ManifestStale,
  NotFound,
  PayloadTooLarge,
  ServerMisconfigured,
  TokenInvalid,
  TokenReplayed
} from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { AgentRecord } from "./record.ts"

const Envelope = Schema.Struct({
  /** The signed manifest (RFC-AITP-0003 §3); other members of the body are ignored at enrolment. */
  manifest: Schema.Unknown
}).annotate({ identifier: "ManifestEnvelope" })

const Enrolled = Schema.Struct({
  /** Opaque; registers exactly this manifest, once. */
  token: Schema.String,
  /** Seconds the token lives: 300. */
  expiresIn: Schema.Int,
  aid: Schema.String,
  /** Unix seconds at which the token ends. */
  exp: Schema.Int,
  /** UUID of the token. */
  jti: Schema.String,
  /** Copy of `aid`. */
  agentAid: Schema.String,
  /** SHA-256 of the canonical manifest with its signature, hex. */
  manifestSha256: Schema.String,
  conformanceFindings: Schema.Array(Schema.String)
}).annotate({ identifier: "Enrolled" })

const Registered = Schema.Struct({
  aid: Schema.String,
  displayName: Schema.String,
  /** First registration of this AID. */
  registeredAt: Schema.String,
  namespace: Schema.String,
  lastEnrolledAt: Schema.String,
  manifestUrl: Schema.String,
  conformanceFindings: Schema.Array(Schema.String)
}).annotate({ identifier: "Registered" })

const AgentPage = Schema.Struct({
  agents: Schema.Array(AgentRecord),
  /** Agents in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
})

const Deregistered = Schema.Struct({ aid: Schema.String, status: Schema.Literal("deregistered") })

const namespace = Query.text(["namespace"], "Namespace of the agents.")

/** Query of discovery. */
export const discoveryQuery = Query.make({
  capability: Query.text(["capability"], "Exact member of `offeredCaps`."),
  aid: Query.text(["aid"], "AID in either of its spellings."),
  displayName: Query.text(["display_name", "displayName"], "Exact display name."),
  namespace,
  status: Query.text(["status"], "`active` (default), `expired`, `deregistered` or `all`."),
  includeManifest: Query.flag(["include_manifest"], "Adds `manifestJson` to each agent."),
  limit: Query.limit({ default: 200, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Query of an export. */
export const exportQuery = Query.make({
  format: Query.text(["format"], "`json` (default) or `jsonl`."),
  eventLimit: Query.limit({
    names: ["event_limit", "eventLimit"],
    default: 1000,
    max: 10_000,
    zero: "default"
  })
})

const aid = { aid: Schema.String }
const about = (summary: string) => OpenApi.annotations({ summary })

/** Enrolment and discovery of agents. */
export const RegistryApi = HttpApiGroup.make("registry")
  .add(
    HttpApiEndpoint.post("enroll", "/api/registry/enroll", {
      payload: Envelope,
      success: Enrolled,
      error: [
        BodyInvalid,
        ManifestInvalid,
        ManifestStale,
        AidFormConflict,
        PayloadTooLarge,
        ServerMisconfigured
      ]
    })
      .annotate(Access, open)
      .annotateMerge(about("Verifies a signed manifest and answers a one-time token for its registration")),
    HttpApiEndpoint.post("register", "/api/registry/agents", {
      payload: Envelope,
      success: Registered.pipe(HttpApiSchema.status(201)),
      error: [
        BadRequest,
        BodyInvalid,
        ManifestInvalid,
        ManifestExpired,
        TokenInvalid,
        TokenReplayed,
        ManifestStale,
        AidFormConflict,
        IdempotencyKeyInvalid,
        IdempotencyInProgress,
        IdempotencyKeyReused,
        PayloadTooLarge,
        ServerMisconfigured
      ]
    })
      .annotate(Access, enrollmentToken)
      .annotateMerge(about("Spends an enrollment token and registers the manifest it was made for")),
    HttpApiEndpoint.get("list", "/api/registry/agents", {
      success: AgentPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, open)
      .annotate(Query.QueryParameters, discoveryQuery.parameters)
      .annotateMerge(about("Discovery, oldest registration first")),
    HttpApiEndpoint.get("get", "/api/registry/agents/:aid", {
      params: aid,
      success: AgentRecord,
      error: NotFound
    })
      .annotate(Access, open)
      .annotateMerge(about("One agent, in any status")),
    HttpApiEndpoint.get("manifest", "/api/registry/agents/:aid/manifest", {
      params: aid,
      success: Schema.Unknown,
      error: [NotFound, AgentNotActive]
    })
      .annotate(Access, open)
      .annotateMerge(about("The manifest as it was registered, byte for byte")),
    HttpApiEndpoint.get("export", "/api/registry/agents/:aid/export", {
      params: aid,
      success: Schema.Unknown,
      error: [BadRequest, NotFound]
    })
      .annotate(Access, allOf("agents:read", "events:read"))
      .annotate(Query.QueryParameters, exportQuery.parameters)
      .annotateMerge(about("Everything kept about an agent, as JSON or JSON lines")),
    HttpApiEndpoint.delete("deregister", "/api/registry/agents/:aid", {
      params: aid,
      success: Deregistered,
      error: NotFound
    })
      .annotate(Access, anyOf("agents:write"))
      .annotateMerge(about("Takes an agent out of the registry; repeats change nothing"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Registry" }))
