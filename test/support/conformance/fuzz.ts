import { Effect } from "effect"
import fc from "fast-check"
import { hostileIds, hostileValues, mutations } from "../service/attacks.ts"
import { brokenOf, hostileText, hostileValue, valueOf } from "./arbitrary.ts"
import type { Call } from "./calls.ts"
import {
  type ApiDescription,
  type Operation,
  type Parameter,
  parametersIn,
  requestSchema
} from "./description.ts"
import { callOf, type Example, pathOf } from "./example.ts"
import { examplesOf } from "./examples.ts"
import { isWait } from "./mistakes.ts"
import type { Scene } from "./scene.ts"

/** An operation with requests that it would answer well. */
export interface Seed {
  readonly operation: Operation
  readonly examples: ReadonlyArray<Example>
}

/** Fresh seeds of every operation: what earlier requests have spent or deleted is there again. */
export const seedsOf = (operations: ReadonlyArray<Operation>, scene: Scene) =>
  Effect.forEach(operations, (operation) =>
    Effect.map(examplesOf(operation.key, scene), (examples): Seed => ({ operation, examples }))
  )

const rarely = <A>(usual: fc.Arbitrary<A>, other: fc.Arbitrary<A>, weight = 1) =>
  fc.oneof({ weight: 4, arbitrary: usual }, { weight, arbitrary: other })

/** Whether the path stays one of the operation: an empty segment, or one that does not decode, makes it nobody's. */
const isSegment = (text: string): boolean => {
  try {
    return decodeURIComponent(text) !== ""
  } catch {
    return false
  }
}

/** What is put into the place of a path parameter, percent-encoded. */
const segment: fc.Arbitrary<string> = fc
  .oneof(
    fc.constantFrom(...hostileIds),
    fc.uuid(),
    hostileText.map((text) => encodeURIComponent(text.toWellFormed()))
  )
  .filter(isSegment)

const path = (operation: Operation, { params = {} }: Example): fc.Arbitrary<string> => {
  const names = parametersIn(operation, "path").map(({ name }) => name)
  const known = fc.constant(pathOf(operation, params))
  if (names.length === 0) return known
  const mark = "-here-"
  const other = fc
    .tuple(fc.constantFrom(...names), segment)
    .map(([name, value]) => pathOf(operation, { ...params, [name]: mark }).replace(mark, value))
  return rarely(known, other, 2)
}

const queryValue = (description: ApiDescription, parameter: Parameter, { query = {} }: Example) => {
  const own = query[parameter.name]
  return fc.oneof(
    valueOf(description, parameter.schema).map((value) => encodeURIComponent(String(value).toWellFormed())),
    fc.constantFrom(...hostileValues),
    hostileText.map((text) => encodeURIComponent(text.toWellFormed())),
    ...(own === undefined ? [] : [fc.constant(encodeURIComponent(own))])
  )
}

const search = (
  description: ApiDescription,
  operation: Operation,
  example: Example
): fc.Arbitrary<string> => {
  const parameters = parametersIn(operation, "query")
  const given = Object.entries(example.query ?? {}).map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`
  )
  if (parameters.length === 0) return fc.constant(given.join("&"))
  const pair = fc.constantFrom(...parameters).chain((parameter) =>
    queryValue(description, parameter, example)
      .map((value) => (isWait(parameter, value) ? "0.01" : value))
      .map((value) => `${parameter.name}=${value}`)
  )
  return fc
    .tuple(fc.subarray(given), fc.array(pair, { maxLength: 4 }))
    .map(([kept, made]) => [...kept, ...made].join("&"))
}

/** Texts that Node takes as the value of a header. */
const headerText = fc.oneof(
  fc.constantFrom("", "*", '""', "text/plain", "x".repeat(300), "é", "\t", "a,b;c=d", "gzip, br"),
  fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 20
  })
)

const ACCEPTED = [
  "application/problem+json",
  "application/json",
  "application/health+json",
  "text/html",
  "*/*",
  ";"
]

const headers = (operation: Operation): fc.Arbitrary<Readonly<Record<string, string>>> =>
  fc.record(
    {
      accept: fc.constantFrom(...ACCEPTED),
      "accept-encoding": fc.constantFrom("gzip", "br", "identity;q=0", "x"),
      "content-type": headerText,
      "content-encoding": fc.constantFrom("identity", "gzip"),
      origin: headerText,
      traceparent: headerText,
      ...Object.fromEntries(
        parametersIn(operation, "header").map(({ name }) => [
          name.toLowerCase(),
          fc.oneof(fc.uuid(), headerText)
        ])
      )
    },
    { requiredKeys: [] }
  )

/** Bodies: sound ones, those of the schema, each with something wrong, and no JSON at all. */
const body = (description: ApiDescription, operation: Operation, example: Example): fc.Arbitrary<unknown> => {
  const schema = requestSchema(operation)
  if (schema === undefined) return rarely(fc.constant(undefined), hostileValue)
  const made = valueOf(description, schema)
  const text = JSON.stringify(example.body)
  return fc.oneof(
    fc.constant(example.body),
    { weight: 3, arbitrary: brokenOf(example.body) },
    { weight: 2, arbitrary: made },
    { weight: 2, arbitrary: made.chain(brokenOf) },
    fc.nat().map((seed) => mutations(text, 1, seed)[0]),
    hostileValue
  )
}

const KEYS: ReadonlyArray<{ readonly key: boolean; readonly sent?: string }> = [
  { key: true },
  { key: false },
  { key: false, sent: "Bearer unknown" },
  { key: false, sent: "Basic x" }
]

/** Requests to an operation. */
const callsTo = (description: ApiDescription, { examples, operation }: Seed): fc.Arbitrary<Call> =>
  fc.constantFrom(...examples).chain((example) =>
    fc
      .record({
        path: path(operation, example),
        search: search(description, operation, example),
        headers: rarely(fc.constant({}), headers(operation), 2),
        body: body(description, operation, example),
        access: rarely(fc.constant(undefined), fc.constantFrom(...KEYS))
      })
      .map(({ access, body, headers, path, search }): Call => {
        const { options } = callOf(operation, example, "")
        return {
          operation,
          name: "fuzzed",
          target: search === "" ? path : `${path}?${search}`,
          options: {
            ...options,
            ...(access === undefined ? {} : { key: access.key }),
            ...(body === undefined ? {} : { body }),
            headers: {
              ...(access?.sent === undefined ? {} : { authorization: access.sent }),
              ...options.headers,
              ...headers
            }
          }
        }
      })
  )

/** So many requests to all of the operations, the same ones for the same seed and the same examples. */
export const fuzzedCalls = (
  description: ApiDescription,
  seeds: ReadonlyArray<Seed>,
  count: number,
  seed: number
): ReadonlyArray<Call> =>
  fc.sample(fc.oneof(...seeds.map((each) => callsTo(description, each))), { numRuns: count, seed })
