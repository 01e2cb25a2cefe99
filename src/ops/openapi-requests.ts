import type { Parameter } from "../wire/query.ts"

/** Requests in the API description: parameters as they are read, bodies as tolerant as their readers. */

type Json = Record<string, unknown>

/** The query parameters of an endpoint, once per spelling. */
export const queryParameters = (parameters: ReadonlyArray<Parameter<unknown>>): ReadonlyArray<Json> =>
  parameters.flatMap(({ description, names, schema }) =>
    names.map((name, index) => ({
      name,
      in: "query",
      required: false,
      description: index === 0 ? description : `Other spelling of \`${names[0]}\`, which wins.`,
      schema
    }))
  )

/** Name of the rest of a path, which may be several segments; the router calls it a star. */
const REST = "place"

/** A path in the notation of OpenAPI, which knows no star. */
export const describedPath = (path: string): string => path.replace(/\*$/, `{${REST}}`)

/** A path parameter under its name in `describedPath`. */
export const pathParameter = (parameter: Json): Json =>
  parameter["name"] === "*"
    ? { ...parameter, name: REST, description: "One or more segments of the path." }
    : parameter

export interface RequestBody extends Json {
  readonly content: Readonly<Record<string, { readonly schema: Json }>>
}

/** A schema without its ban on other members: readers ignore those at the top of a body. */
const tolerant = (schema: Json): Json => {
  const { additionalProperties: _, anyOf, ...rest } = schema
  return Array.isArray(anyOf) ? { ...rest, anyOf: anyOf.map(tolerant) } : rest
}

const PREFIX = "#/components/schemas/"

/**
 * Makes the bodies of one document tolerant: those that stand in an operation at once, and on `components` those that
 * operations have referred to.
 */
export const tolerantBodies = () => {
  const referred = new Set<string>()
  return {
    body: ({ content, ...rest }: RequestBody): RequestBody => ({
      ...rest,
      content: Object.fromEntries(
        Object.entries(content).map(([mediaType, { schema }]) => {
          if (typeof schema["$ref"] === "string") referred.add(schema["$ref"])
          return [mediaType, { schema: tolerant(schema) }]
        })
      )
    }),
    components: (schemas: Readonly<Record<string, Json>>): Json =>
      Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [
          name,
          referred.has(PREFIX + name) ? tolerant(schema) : schema
        ])
      )
  }
}
