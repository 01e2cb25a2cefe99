import { Effect } from "effect"
import { read } from "../service/client.ts"

/** The OpenAPI document of a service, as far as the suites read it. */

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly required?: boolean
  readonly schema: JsonSchema
}

export interface HeaderDescription {
  readonly required?: boolean
  readonly schema: JsonSchema
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>

export interface ResponseDescription {
  readonly headers?: Readonly<Record<string, HeaderDescription>>
  readonly content?: Content
}

export interface OperationDescription {
  readonly parameters?: ReadonlyArray<Parameter>
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, ResponseDescription>>
  readonly security?: ReadonlyArray<Readonly<Record<string, unknown>>>
}

export interface ApiDescription {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationDescription>>>>
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> }
}

/** One method of one path. */
export interface Operation {
  /** `GET /api/events/{id}`. */
  readonly key: string
  readonly method: string
  /** Template of the path. */
  readonly path: string
  /** Where it stands in the document, as a JSON pointer in a URI fragment. */
  readonly pointer: string
  readonly described: OperationDescription
}

/** A member name as a token of a JSON pointer in a URI fragment (RFC 6901 §6). */
export const token = (name: string): string =>
  encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))

/** What the service says of itself. */
export const describedService = Effect.map(read<ApiDescription>("/openapi.json"), (description) => ({
  description,
  operations: operationsOf(description)
}))

/** Every method of every path, in the order of the document. */
export const operationsOf = (description: ApiDescription): ReadonlyArray<Operation> =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({
      key: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      pointer: `/paths/${token(path)}/${method}`,
      described
    }))
  )

const SCHEMAS = "#/components/schemas/"

/** A schema with its reference followed, if it is one. */
export const resolved = (description: ApiDescription, schema: JsonSchema): JsonSchema => {
  const reference = schema["$ref"]
  if (typeof reference !== "string") return schema
  const target = description.components.schemas[reference.slice(SCHEMAS.length)]
  if (target === undefined) throw new Error(`${reference} is not in the document`)
  return resolved(description, target)
}

/** Schema of the body that the operation takes. */
export const requestSchema = ({ described }: Operation): JsonSchema | undefined =>
  described.requestBody?.content["application/json"]?.schema

/** What the operation asks callers for. */
export const credentialOf = ({ described }: Operation): "apiKey" | "enrollmentToken" | undefined => {
  const [need] = described.security ?? []
  if (need === undefined) return undefined
  return "enrollmentToken" in need ? "enrollmentToken" : "apiKey"
}

/** Names of the parameters that stand in a place of a request. */
export const parametersIn = ({ described }: Operation, place: Parameter["in"]): ReadonlyArray<Parameter> =>
  (described.parameters ?? []).filter((parameter) => parameter.in === place)

/** Documented statuses of success, such as 200, 201, 202 and 204. */
export const successesOf = ({ described }: Operation): ReadonlyArray<number> =>
  Object.keys(described.responses)
    .map(Number)
    .filter((status) => status < 300)
