import { Context, Schema } from "effect"
import { HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, type AccessRule, isGated } from "../access/Access.ts"
import { limitRuleOf } from "../http/LimitedBy.ts"
import { type CatalogueEntry, catalogue } from "../wire/catalogue.ts"
import { Conditional, RequestHeaders, ResponseHeaders } from "../wire/headers.ts"
import { QueryParameters } from "../wire/query.ts"
import { headerParameters } from "./openapi-headers.ts"
import {
  describedPath,
  pathParameter,
  queryParameters,
  type RequestBody,
  tolerantBodies
} from "./openapi-requests.ts"
import { componentOf, declares, PROBLEM, type Responses, responsesOf } from "./openapi-responses.ts"
import { VERSION } from "./version.ts"

/**
 * OpenAPI 3.1 of an API definition: what effect derives from the schemas, completed by what the edge and the query
 * readers do, which no endpoint repeats: credentials, headers, the errors every route can meet, parameters with both
 * spellings.
 */

type Json = Record<string, unknown>

const KEY = "apiKey"
const TOKEN = "enrollmentToken"

const DESCRIPTION = [
  "`HEAD` works wherever `GET` does, `OPTIONS` everywhere. Another method of a path is 405 `METHOD_NOT_ALLOWED` with",
  "`Allow`, an unknown path 404 `NOT_FOUND`, one whose escapes do not decode 400 `BAD_REQUEST`; below `/api/` this is",
  "told only to who has a key. Members of a body that nobody knows are ignored. Refusals are",
  "`application/problem+json` (RFC 9457) when `Accept` names that type.",
  "\n\nEvery answer has `X-Request-Id`: the one sent, when it is 1 to 200 visible ASCII characters, otherwise a new one.",
  "Answers below `/api/` that count against a rate limit have `RateLimit` and `RateLimit-Policy`",
  "(draft-ietf-httpapi-ratelimit-headers), and `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`",
  "(Unix seconds)."
].join(" ")

/** Errors any request may meet, whatever the endpoint. */
const EVERYWHERE = ["BAD_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_ENCODING", "INTERNAL", "UNAVAILABLE"]

const GATED = ["INVALID_API_KEY", "SERVER_MISCONFIGURED"]

/** A schema whose objects have no other members than those it names. */
const closed = (schema: unknown): unknown => {
  if (typeof schema !== "object" || schema === null) return schema
  if (Array.isArray(schema)) return schema.map(closed)
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [
      name,
      name === "additionalProperties" ? false : closed(value)
    ])
  )
}

const errorSchema = (entry: CatalogueEntry): Json => ({
  ...(closed(Schema.toJsonSchemaDocument(entry.schema).definitions[componentOf(entry)]) as Json), // an object stays one
  title: entry.title,
  description: entry.description
})

const problemSchema = {
  type: "object",
  description: "A refusal in the form of RFC 9457, with all members of its other form.",
  properties: {
    type: { type: "string", format: "uri", description: "Page about the code." },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "Copy of `error`." },
    instance: { type: "string", description: "Path of the request." },
    error: { type: "string" },
    code: { type: "string", enum: [...catalogue.keys()] }
  },
  required: ["type", "title", "status", "detail", "instance", "error", "code"],
  additionalProperties: true
}

const securityOf = (access: AccessRule): ReadonlyArray<Json> => {
  if (access._tag === "enrollmentToken") return [{ [TOKEN]: [] }]
  return isGated(access) ? [{ [KEY]: [] }] : []
}

interface Operation extends Json {
  readonly parameters?: ReadonlyArray<Json>
  readonly requestBody?: RequestBody
  readonly responses?: Responses
}

/** What the annotations of an endpoint add to its operation. */
const completed = (path: string, operation: Operation, annotations: Context.Context<never>): Operation => {
  const access = Context.getOrUndefined(annotations, Access)
  const query = Context.getOrUndefined(annotations, QueryParameters) ?? []
  if (access === undefined) return operation
  const declared = operation.responses ?? {}
  const facts = {
    conditional: Context.get(annotations, Conditional),
    idempotent: declares(declared, "IDEMPOTENCY_KEY_INVALID"),
    paged: query.some(({ names }) => names.includes("cursor")),
    request: Context.get(annotations, RequestHeaders),
    response: Context.get(annotations, ResponseHeaders)
  }
  const limited = limitRuleOf(path, access, annotations) !== "none"
  const codes = [...EVERYWHERE, ...(limited ? ["RATE_LIMITED"] : []), ...(isGated(access) ? GATED : [])]
  return {
    ...operation,
    security: securityOf(access),
    ...(access._tag === "scopes" ? { "x-scopes": { [access.need]: access.scopes } } : undefined),
    parameters: [
      ...(operation.parameters ?? []).map(pathParameter),
      ...queryParameters(query),
      ...headerParameters(facts)
    ],
    responses: responsesOf(declared, codes, facts)
  }
}

/** The document of an API. Keys are in definition order, so equal code gives equal text. */
export const describe = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): Json => {
  const annotationsOf = new Map<string, Context.Context<never>>()
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const path = endpoint.path.replace(/:(\w+)/g, "{$1}")
      annotationsOf.set(`${endpoint.method.toLowerCase()} ${path}`, endpoint.annotations)
    }
  })
  const base = OpenApi.fromApi(api)
  const bodies = tolerantBodies()
  const described = (key: string, path: string, operation: Operation): Operation => {
    const { requestBody } = operation
    const read =
      requestBody === undefined ? operation : { ...operation, requestBody: bodies.body(requestBody) }
    return completed(path, read, annotationsOf.get(key) ?? Context.empty())
  }
  const paths: Json = {}
  for (const [path, operations] of Object.entries(base.paths)) {
    paths[describedPath(path)] = Object.fromEntries(
      Object.entries(operations).map(([method, operation]) => [
        method,
        // of the members of a path item effect writes operations only
        described(`${method} ${path}`, path, operation as unknown as Operation)
      ])
    )
  }
  return {
    ...base,
    info: { ...base.info, title: "AITP Control Plane", version: VERSION, description: DESCRIPTION },
    paths,
    components: {
      ...base.components,
      schemas: {
        ...bodies.components(base.components.schemas),
        ...Object.fromEntries(
          [...catalogue.values()].map((entry) => [componentOf(entry), errorSchema(entry)])
        ),
        [PROBLEM]: problemSchema
      },
      securitySchemes: {
        [KEY]: {
          type: "http",
          scheme: "bearer",
          description: "An API key; also accepted as the bare value of Authorization."
        },
        [TOKEN]: { type: "http", scheme: "bearer", description: "One-time enrollment token." }
      }
    }
  }
}
