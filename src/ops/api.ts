import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, open } from "../access/Access.ts"
import { LimitedBy } from "../http/LimitedBy.ts"
import { WireErrors } from "../http/WireErrors.ts"
import { InvalidApiKey, NotFound } from "../wire/errors.ts"
import { Conditional, ResponseHeaders } from "../wire/headers.ts"

/** Media type of the API catalogue (RFC 9727 §4.1). */
export const LINK_SET = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'

/** Identifier of the one API definition; groups built from parts of it fit the whole by this name. */
export const API_ID = "aitp-control-plane"

const HealthBody = Schema.Struct({
  /** Whether the database answers. */
  ok: Schema.Boolean,
  service: Schema.Literal("aitp-control-plane"),
  /** AID of the service; null while it starts. */
  aid: Schema.NullOr(Schema.String),
  db: Schema.Literals(["ok", "error"]),
  version: Schema.String,
  /** Whole seconds since the process started. */
  uptimeSeconds: Schema.Int
}).annotate({ identifier: "Health" })

const ReadyBody = Schema.Struct({ ready: Schema.Literal(true) })

const NotReadyBody = Schema.Struct({
  ready: Schema.Literal(false),
  reason: Schema.Literals([
    "shutting_down",
    "starting",
    "database_unavailable",
    "migrations_pending",
    "manifest_expired"
  ]),
  /** With `database_unavailable`: a generic text. */
  error: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "NotReady" })

/** For those who ask for that type; the status of the answer is the same. */
const HealthJson = Schema.Struct({
  status: Schema.Literals(["pass", "fail"]),
  /** By what was looked at; `output` names what is wrong. */
  checks: Schema.Record(
    Schema.String,
    Schema.Struct({
      status: Schema.Literals(["pass", "fail"]),
      output: Schema.optionalKey(Schema.String)
    })
  )
}).pipe(HttpApiSchema.asJson({ contentType: "application/health+json" }))

const LinkSet = Schema.Struct({
  linkset: Schema.Array(Schema.Record(Schema.String, Schema.Unknown))
}).pipe(HttpApiSchema.asJson({ contentType: LINK_SET }))

/** OpenAPI 3.1. */
const ApiDescription = Schema.Record(Schema.String, Schema.Unknown)

const PAGE_HEADERS = [
  {
    name: "Content-Security-Policy",
    description: "The page loads nothing and calls nobody but this service."
  },
  { name: "Referrer-Policy", description: "`no-referrer`." }
]

const CatalogueBody = Schema.Struct({
  code: Schema.String,
  /** HTTP status it is sent with. */
  status: Schema.Int,
  title: Schema.String,
  /** When it is sent. */
  description: Schema.String
}).annotate({ identifier: "ErrorDescription" })

const plainText = (contentType: string) => Schema.String.pipe(HttpApiSchema.asText({ contentType }))

const unavailable = <S extends Schema.Top>(body: S) => body.pipe(HttpApiSchema.status(503))

const about = (summary: string) => OpenApi.annotations({ summary })

/** Probes and metrics. */
export const OpsApi = HttpApiGroup.make("ops")
  .add(
    HttpApiEndpoint.get("health", "/api/health", {
      success: [HealthBody, HealthJson, unavailable(HealthBody), unavailable(HealthJson)]
    })
      .annotate(Access, open)
      .annotate(LimitedBy, "none")
      .annotateMerge(about("Service and database; stays 200 while the service drains")),
    HttpApiEndpoint.get("livez", "/api/livez", { success: Schema.Struct({ ok: Schema.Literal(true) }) })
      .annotate(Access, open)
      .annotate(LimitedBy, "none")
      .annotateMerge(about("Whether the process answers; for probes that restart it")),
    HttpApiEndpoint.get("readyz", "/api/readyz", {
      success: [ReadyBody, HealthJson, unavailable(NotReadyBody), unavailable(HealthJson)]
    })
      .annotate(Access, open)
      .annotate(LimitedBy, "none")
      .annotateMerge(about("Whether traffic should come here")),
    HttpApiEndpoint.get("metrics", "/api/metrics", {
      success: plainText("text/plain; version=0.0.4; charset=utf-8"),
      error: InvalidApiKey
    })
      .annotate(Access, open)
      .annotate(LimitedBy, "none")
      .annotateMerge(about("Prometheus text format; bearer METRICS_TOKEN when that is set"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Operations" }))

/** Documents about the service itself. */
export const DocumentsApi = HttpApiGroup.make("documents")
  .add(
    HttpApiEndpoint.get("openapi", "/openapi.json", { success: ApiDescription })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("This document")),
    HttpApiEndpoint.get("reference", "/docs", { success: plainText("text/html; charset=utf-8") })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotate(ResponseHeaders, PAGE_HEADERS)
      .annotateMerge(about("This document, to read and try; loads nothing from elsewhere")),
    HttpApiEndpoint.get("error", "/errors/:code", {
      params: { code: Schema.String },
      success: CatalogueBody,
      error: NotFound
    })
      .annotate(Access, open)
      .annotateMerge(about("What an error code means")),
    HttpApiEndpoint.get("apiCatalog", "/.well-known/api-catalog", { success: LinkSet })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("RFC 9727 link set")),
    HttpApiEndpoint.get("securityTxt", "/.well-known/security.txt", {
      success: plainText("text/plain; charset=utf-8")
    })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("RFC 9116 contact for security reports"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Documents" }))

/** What needs nothing but this process, so that it is answered while the rest is still starting. */
export const OpsOnly = HttpApi.make(API_ID).add(OpsApi, DocumentsApi).middleware(WireErrors)
