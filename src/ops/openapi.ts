import { Context, Schema } from "effect"
import { HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, type AccessRule, isGated } from "../access/Access.ts"
import { type CatalogueEntry, catalogue } from "../wire/catalogue.ts"
import { type Parameter, QueryParameters } from "../wire/query.ts"
import { VERSION } from "./version.ts"

/**
 * OpenAPI 3.1 of an API definition: what effect derives from the schemas, completed by what the edge and the query
 * readers do, which no endpoint repeats: credentials, the errors every route can meet, parameters with both spellings.
 */

type Json = Record<string, unknown>

const KEY = "apiKey"
const TOKEN = "enrollmentToken"

/** Errors any request may meet, whatever the endpoint. */
const EVERYWHERE = [
  "BAD_REQUEST",
  "PAYLOAD_TOO_LARGE",
  "UNSUPPORTED_ENCODING",
  "RATE_LIMITED",
  "INTERNAL",
  "UNAVAILABLE"
]

/** Name of an error's body among the component schemas; the same that effect gives it on endpoints that declare it. */
const componentOf = ({ name }: CatalogueEntry): string => `${name}Encoded`

const errorSchema = (entry: CatalogueEntry): Json => ({
  ...Schema.toJsonSchemaDocument(entry.schema).definitions[componentOf(entry)],
  title: entry.title,
  description: entry.description
})

const securityOf = (access: AccessRule): ReadonlyArray<Json> => {
  if (access._tag === "enrollmentToken") return [{ [TOKEN]: [] }]
  return isGated(access) ? [{ [KEY]: [] }] : []
}

const parameterOf = (parameter: Parameter<unknown>): ReadonlyArray<Json> =>
  parameter.names.map((name, index) => ({
    name,
    in: "query",
    required: false,
    description:
      index === 0 ? parameter.description : `Other spelling of \`${parameter.names[0]}\`, which wins.`,
    schema: parameter.schema
  }))

const refOf = (entry: CatalogueEntry): string => `#/components/schemas/${componentOf(entry)}`

interface Alternatives {
  readonly $ref?: string
  readonly anyOf?: ReadonlyArray<Alternatives>
}

interface ResponseObject {
  readonly description: string
  readonly content?: { readonly "application/json"?: { readonly schema: Alternatives } }
}

type Responses = Readonly<Record<string, ResponseObject>>

/** Adds the errors of the edge to the responses of an operation, beside those the endpoint declares. */
const withErrors = (responses: Responses, codes: ReadonlyArray<string>): Responses => {
  const result: Record<string, ResponseObject> = { ...responses }
  const byStatus = Map.groupBy(
    codes.flatMap((code) => catalogue.get(code) ?? []),
    (entry) => String(entry.status)
  )
  for (const [status, entries] of byStatus) {
    const declared = result[status]?.content?.["application/json"]?.schema
    const alternatives = declared === undefined ? [] : (declared.anyOf ?? [declared])
    const added = entries.map(refOf).filter((ref) => alternatives.every((known) => known.$ref !== ref))
    const all = [...alternatives, ...added.map(($ref) => ({ $ref }))]
    const [only] = all
    result[status] = {
      description: result[status]?.description ?? entries.map(({ title }) => title).join("; "),
      content: {
        ...result[status]?.content,
        "application/json": { schema: all.length === 1 && only !== undefined ? only : { anyOf: all } }
      }
    }
  }
  return result
}

interface Operation extends Json {
  readonly parameters?: ReadonlyArray<Json>
  readonly responses?: Responses
}

/** What the annotations of an endpoint add to its operation. */
const completed = (operation: Operation, annotations: Context.Context<never>): Operation => {
  const access = Context.getOrUndefined(annotations, Access)
  const query = Context.getOrUndefined(annotations, QueryParameters) ?? []
  if (access === undefined) return operation
  const codes = isGated(access) ? [...EVERYWHERE, "INVALID_API_KEY", "SERVER_MISCONFIGURED"] : EVERYWHERE
  return {
    ...operation,
    security: securityOf(access),
    ...(access._tag === "scopes" ? { "x-scopes": { [access.need]: access.scopes } } : undefined),
    parameters: [...(operation.parameters ?? []), ...query.flatMap(parameterOf)],
    responses: withErrors(operation.responses ?? {}, codes)
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
  const paths: Json = {}
  for (const [path, operations] of Object.entries(base.paths)) {
    paths[path] = Object.fromEntries(
      Object.entries(operations).map(([method, operation]) => [
        method,
        // of the members of a path item effect writes operations only
        completed(
          operation as unknown as Operation,
          annotationsOf.get(`${method} ${path}`) ?? Context.empty()
        )
      ])
    )
  }
  return {
    ...base,
    info: { ...base.info, title: "AITP Control Plane", version: VERSION },
    paths,
    components: {
      ...base.components,
      schemas: {
        ...base.components.schemas,
        ...Object.fromEntries(
          [...catalogue.values()].map((entry) => [componentOf(entry), errorSchema(entry)])
        )
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
