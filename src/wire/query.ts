import { Context, Result } from "effect"
import { BadRequest, type FilterInvalid } from "./errors.ts"
import { parseInstant } from "./time.ts"

/**
 * Query parameters as data: one definition reads a request and documents the route. Own code instead of the `query`
 * schema of an endpoint because the wire has two spellings per name, clamps instead of refusing, and takes an empty
 * value for none.
 */

/** Query of a request as the router parsed it; a name given twice has several values, of which the first counts. */
export type SearchParams = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** The value cannot be used; the text says why, after the parameter's name. */
class Unusable {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

/** One query parameter. */
export interface Parameter<A> {
  /** Accepted spellings; the first that has a value wins, so the snake_case one comes first. */
  readonly names: readonly [string, ...ReadonlyArray<string>]
  readonly description: string
  /** JSON Schema for the OpenAPI document. */
  readonly schema: Readonly<Record<string, unknown>>
  /** Value of the given text, which is never empty; `undefined` when the parameter is absent. */
  readonly read: (text: string | undefined) => A | Unusable
}

type Names = Parameter<unknown>["names"]

/** Text that is compared with stored text. */
export const text = (names: Names, description: string): Parameter<string | undefined> => ({
  names,
  description,
  schema: { type: "string" },
  read: (value) => (value?.includes("\0") === true ? new Unusable("must not contain NUL") : value)
})

/** Anything a JavaScript `Date` parses. */
export const instant = (names: Names, description: string): Parameter<Date | undefined> => ({
  names,
  description,
  schema: { type: "string", format: "date-time" },
  read: (value) => (value === undefined ? undefined : (parseInstant(value) ?? new Unusable("is not a time")))
})

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** A UUID, compared in lower case. */
export const uuid = (names: Names, description: string): Parameter<string | undefined> => ({
  names,
  description,
  schema: { type: "string", format: "uuid" },
  read: (value) =>
    value === undefined || UUID.test(value) ? value?.toLowerCase() : new Unusable("is not a UUID")
})

/** True for the exact text `true` and for nothing else. */
export const flag = (names: Names, description: string): Parameter<boolean> => ({
  names,
  description,
  schema: { type: "boolean", default: false },
  read: (value) => value === "true"
})

const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i

/** Whole part of a decimal number; undefined for other text. */
const whole = (value: string | undefined): number | undefined => {
  const trimmed = value?.trim() ?? ""
  const number = DECIMAL.test(trimmed) ? Math.trunc(Number(trimmed)) : Number.NaN
  return Number.isFinite(number) ? number : undefined
}

/**
 * Page size: fractions are cut, other text means the default, and the result lies in 1 to `max`.
 * `zero` says what `0` asks for; negative numbers always ask for 1.
 */
export const limit = (options: {
  readonly default: number
  readonly max: number
  readonly zero?: "one" | "default"
  readonly names?: Names
}): Parameter<number> => ({
  names: options.names ?? ["limit"],
  description: "Page size; values outside the range are clamped.",
  schema: { type: "integer", minimum: 1, maximum: options.max, default: options.default },
  read: (value) => {
    const number = whole(value)
    if (number === undefined || (number === 0 && options.zero === "default")) return options.default
    return Math.min(Math.max(number, 1), options.max)
  }
})

/** Above this, skipping rows costs more than a cursor. */
export const MAX_OFFSET = 100_000

/** Rows to skip. */
export const offset: Parameter<number> = {
  names: ["offset"],
  description: "Rows to skip; ignored when a cursor is given.",
  schema: { type: "integer", minimum: 0, maximum: MAX_OFFSET, default: 0 },
  read: (value) => {
    const number = value !== undefined && DECIMAL.test(value.trim()) ? Number(value) : 0
    if (!Number.isInteger(number) || number < 0) return 0
    return number > MAX_OFFSET ? new Unusable(`must not exceed ${MAX_OFFSET}; use cursor`) : number
  }
}

/** `nextCursor` of the previous page; read by `page.ts`, which knows what it is bound to. */
export const cursor: Parameter<string | undefined> = {
  names: ["cursor"],
  description: "Opaque `nextCursor` of the previous page; wins over `offset`.",
  schema: { type: "string" },
  read: (value) => value
}

type Parameters = Readonly<Record<string, Parameter<unknown>>>

type Values<P extends Parameters> = {
  readonly [Name in keyof P]: P[Name] extends Parameter<infer A> ? A : never
}

/** The query of one route. */
export interface Query<A, E> {
  readonly parameters: ReadonlyArray<Parameter<unknown>>
  readonly read: (params: SearchParams) => Result.Result<A, E>
}

/** Annotation of an endpoint: the query it reads, for the OpenAPI document. */
export class QueryParameters extends Context.Service<QueryParameters, ReadonlyArray<Parameter<unknown>>>()(
  "cp/wire/QueryParameters"
) {}

const valueOf = (params: SearchParams, names: Names): string | undefined => {
  for (const name of names) {
    const given = params[name]
    const value = typeof given === "object" ? given[0] : given
    if (value !== undefined && value !== "") return value
  }
  return undefined
}

type Refusal = new (fields: { readonly error: string }) => BadRequest | FilterInvalid

/** A query made of the given parameters. What cannot be used fails with `Invalid`, `BadRequest` unless named. */
export const make = <const P extends Parameters, R extends Refusal = typeof BadRequest>(
  parameters: P,
  Invalid?: R
): Query<Values<P>, InstanceType<R>> => {
  const entries = Object.entries(parameters)
  const Refused = Invalid ?? BadRequest
  return {
    parameters: Object.values(parameters),
    read: (params) => {
      const values: Record<string, unknown> = {}
      for (const [name, parameter] of entries) {
        const value = parameter.read(valueOf(params, parameter.names))
        if (value instanceof Unusable) {
          const error = new Refused({ error: `${parameter.names[0]} ${value.reason}` })
          return Result.fail(error as InstanceType<R>) // the class is R itself, or R is its default
        }
        values[name] = value
      }
      return Result.succeed(values as Values<P>) // filled from P's own entries just above
    }
  }
}
