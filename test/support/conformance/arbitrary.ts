import fc from "fast-check"
import { type ApiDescription, type JsonSchema, resolved } from "./description.ts"

/** Values from the JSON Schemas of a document, and values that are wrong in the ways that hurt. */

/** Text of any kind: with NUL, lone surrogates, beyond what fits, and what looks like something else. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfff",
    "\u202e",
    "\ufeff",
    "null",
    "NaN",
    "-0",
    "1e999",
    "__proto__",
    "';--",
    '"',
    "%00",
    "2024-02-30",
    "+275760-09-13T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
    "http://[::1",
    "https://user:pass@localhost/",
    "x".repeat(129),
    "é".repeat(300),
    "x".repeat(5000)
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 })
)

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: [nested(depth - 1)] })

/** Any JSON value, also those at the edges of what readers take. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e308,
    -1e308,
    2 ** 53,
    [],
    {},
    [[]],
    nested(12),
    nested(40)
  ),
  fc.jsonValue({ maxDepth: 3 })
)

const NOW = Date.UTC(2026, 0, 1)

const instant = fc.integer({ min: -NOW, max: 4 * NOW }).map((ms) => new Date(ms).toISOString())

const number = (schema: JsonSchema, fallback: number) => {
  const { maximum = fallback, minimum = -fallback } = schema as {
    readonly maximum?: number
    readonly minimum?: number
  }
  return schema["type"] === "integer"
    ? fc.integer({ min: Math.max(minimum, -(2 ** 31)), max: Math.min(maximum, 2 ** 31 - 1) })
    : fc.double({ min: minimum, max: maximum, noNaN: true })
}

const string = ({ format, maxLength, minLength, pattern }: JsonSchema): fc.Arbitrary<string> => {
  if (format === "uuid") return fc.uuid()
  if (format === "date-time") return instant
  if (format === "uri") return fc.webUrl()
  if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern, "u"))
  return fc.string({
    unit: "grapheme",
    minLength: typeof minLength === "number" ? minLength : 0,
    maxLength: typeof maxLength === "number" ? maxLength : 30
  })
}

/** Values of a schema, as far as the keywords say that documents of this service use. */
export const valueOf = (description: ApiDescription, given: JsonSchema): fc.Arbitrary<unknown> => {
  const schema = resolved(description, given)
  const { anyOf, enum: members, items, properties = {}, required = [], type } = schema
  const inner = (each: JsonSchema) => valueOf(description, each)
  if (Array.isArray(members)) return fc.constantFrom(...(members as ReadonlyArray<unknown>))
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map(inner))
  switch (type) {
    case "string":
      return string(schema)
    case "integer":
    case "number":
      return number(schema, 1e6)
    case "boolean":
      return fc.boolean()
    case "null":
      return fc.constant(null)
    case "array":
      return fc.array(inner((items ?? {}) as JsonSchema), { maxLength: 4 })
    case "object": {
      const named = Object.entries(properties as Readonly<Record<string, JsonSchema>>)
      return fc.record(Object.fromEntries(named.map(([name, member]) => [name, inner(member)])), {
        requiredKeys: required as Array<string>
      })
    }
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

/** A value with one thing wrong about it, somewhere: another value, a member less, or one more. */
export const brokenOf = (value: unknown): fc.Arbitrary<unknown> => {
  if (typeof value !== "object" || value === null) return hostileValue
  const entries = Object.entries(value)
  const rebuilt = (changed: ReadonlyArray<readonly [string, unknown]>): unknown =>
    Array.isArray(value) ? changed.map(([, member]) => member) : Object.fromEntries(changed)
  const added = fc
    .tuple(hostileText, hostileValue)
    .map(([name, member]) => rebuilt([...entries, [name, member] as const]))
  if (entries.length === 0) return fc.oneof(hostileValue, added)
  const index = fc.nat({ max: entries.length - 1 })
  const replaced = index.chain((at) =>
    fc
      .oneof(hostileValue, brokenOf(entries[at]?.[1]))
      .map((member) => rebuilt(entries.map((entry, i) => (i === at ? [entry[0], member] : entry))))
  )
  const removed = index.map((at) => rebuilt(entries.filter((_, i) => i !== at)))
  return fc.oneof(
    { weight: 4, arbitrary: replaced },
    { weight: 1, arbitrary: removed },
    { weight: 1, arbitrary: added }
  )
}
