import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, allOf, enrollmentToken, open } from "../access/Access.ts"
import { EventRecord } from "../events/api.ts"
import { LimitedBy } from "../http/LimitedBy.ts"
import { SessionRecord } from "../sessions/record.ts"
import { TctExportRecord } from "../tcts/record.ts"
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
import { Conditional, EXPORT_HEADERS, RequestHeaders, ResponseHeaders } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { AgentExportRecord, AgentRecord } from "./record.ts"

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

const StoredManifest = Schema.StructWithRest(Envelope, [Schema.Record(Schema.String, Schema.Unknown)])

const AgentExport = Schema.Struct({
  agent: AgentExportRecord,
  /** Newest first, at most 10,000. */
  sessions: Schema.Array(SessionRecord),
  /** At most 10,000. */
  tcts: Schema.Array(TctExportRecord),
  /** Newest first. */
  events: Schema.Array(EventRecord),
  exportedAt: Schema.String.annotate({ format: "date-time" }),
  /** There is more than fits; the lines have all of it. */
  truncated: Schema.optionalKey(Schema.Literal(true))
}).annotate({ identifier: "AgentExport" })

/** `{kind, record}` per line: the agent, then each session, TCT and event. */
const ExportLines = Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))

const NAMESPACE = {
  name: "X-Aitp-Namespace",
  description:
    "Namespace of the agent, at most 128 characters; wins over the one in the manifest's extensions."
}

const STATUS = { name: "Aitp-Agent-Status", description: "Status of an agent that is no longer active." }

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
      .annotate(LimitedBy, "enroll-ip")
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
      .annotate(RequestHeaders, [NAMESPACE])
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
      .annotate(Conditional, true)
      .annotateMerge(about("One agent, in any status")),
    HttpApiEndpoint.get("manifest", "/api/registry/agents/:aid/manifest", {
      params: aid,
      success: StoredManifest,
      error: [NotFound, AgentNotActive]
    })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotate(ResponseHeaders, [STATUS])
      .annotateMerge(about("The manifest as it was registered, byte for byte")),
    HttpApiEndpoint.get("export", "/api/registry/agents/:aid/export", {
      params: aid,
      success: [AgentExport, ExportLines],
      error: [BadRequest, NotFound]
    })
      .annotate(Access, allOf("agents:read", "events:read"))
      .annotate(ResponseHeaders, EXPORT_HEADERS)
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
