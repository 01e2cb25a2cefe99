import { Schema } from "effect"
import * as errors from "./errors.ts"

/** An instance of any public error. */
export type WireError = InstanceType<(typeof errors)[keyof typeof errors]>

/** What is fixed about a code, whatever request met it. */
export interface CatalogueEntry {
  readonly code: string
  /** Name of its class. */
  readonly name: string
  readonly status: number
  readonly title: string
  /** When it is sent. */
  readonly description: string
  /** Headers that every answer with this code carries. */
  readonly headers: Readonly<Record<string, string>>
  /** Members of the body, in order. */
  readonly members: ReadonlyArray<string>
  /** Schema of the body. */
  readonly schema: Schema.Top
}

/** What every class of `errors.ts` has, without its exact fields. */
interface ErrorClass extends Schema.Top {
  readonly fields: {
    readonly code: { readonly schema: { readonly literal: string } }
    readonly [member: string]: unknown
  }
}

interface Annotations {
  readonly identifier: string
  readonly httpApiStatus: number
  readonly title: string
  readonly description: string
  readonly wireHeaders: Readonly<Record<string, string>> | undefined
}

const describe = (schema: ErrorClass): CatalogueEntry => {
  // annotations are untyped records in Schema; `about` in errors.ts is their only writer
  const { description, httpApiStatus, identifier, title, wireHeaders } = Schema.resolveAnnotations(
    schema
  ) as unknown as Annotations
  return {
    code: schema.fields.code.schema.literal,
    name: identifier,
    status: httpApiStatus,
    title,
    description,
    headers: wireHeaders ?? {},
    members: Object.keys(schema.fields),
    schema
  }
}

const classes: ReadonlyArray<ErrorClass> = Object.values(errors)
const entries = classes.map(describe)

/** Every public error, by code. */
export const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(
  entries.map((entry) => [entry.code, entry])
)

const byClass = new Map<unknown, CatalogueEntry>(entries.map((entry) => [entry.schema, entry]))

/** The entry of an error value; undefined when it is not a public error. */
export const entryOf = (error: unknown): CatalogueEntry | undefined =>
  typeof error === "object" && error !== null ? byClass.get(error.constructor) : undefined

/** Whether a failure may be sent as it is. */
export const isWireError = (error: unknown): error is WireError => entryOf(error) !== undefined

/** The body of an error: its fields and nothing else. */
export const envelopeOf = (error: WireError): Record<string, unknown> => {
  const body: Record<string, unknown> = {}
  for (const member of entryOf(error)?.members ?? []) {
    const value = (error as unknown as Record<string, unknown>)[member] // members are the field names of this very class
    if (value !== undefined) body[member] = value
  }
  return body
}

/**
 * RFC 9457 form of an error, for clients that ask for `application/problem+json`. Its own members win over extras of the
 * same name.
 */
export const problemOf = (error: WireError, baseUrl: string, instance: string): Record<string, unknown> => {
  const entry = entryOf(error)
  return {
    ...envelopeOf(error),
    type: `${baseUrl}/errors/${error.code}`,
    title: entry?.title,
    status: entry?.status,
    detail: error.error,
    instance
  }
}
