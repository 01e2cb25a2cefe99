import { hostileBodies } from "../service/attacks.ts"
import {
  type ApiDescription,
  type JsonSchema,
  type Operation,
  requestSchema,
  resolved
} from "./description.ts"
import { callOf, type Example } from "./example.ts"
import type { Mistake } from "./mistakes.ts"
import { contentPointer, type schemasOf } from "./schemas.ts"

type Members = Readonly<Record<string, unknown>>

const REFUSED = /^4\d\d /

const REPORT = "POST /api/events"
const REVOCATION = "POST /api/revocation/entries"

/** Whether a value is tolerated although the document names another type. */
const isTolerated = ({ key }: Operation, member: string, value: unknown): boolean =>
  // items that are no objects are left out
  (key === REPORT && Array.isArray(value)) ||
  // what is no text counts as absent
  (key === REVOCATION && member === "revokedAt" && typeof value !== "string")

/** One of each JSON type, and texts at the edges of what fits. */
const VALUES: ReadonlyArray<unknown> = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  "",
  "x",
  "\ud800",
  "\u202e",
  "x".repeat(129),
  "x".repeat(5000),
  [],
  ["x"],
  [null],
  [["x"]],
  {},
  { x: 1 }
]

/** More than any operation takes. */
const OVERSIZE = 300_000

const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The members that a body may have by its schema. */
const membersOf = (description: ApiDescription, schema: JsonSchema): ReadonlyArray<string> => {
  const { anyOf, properties } = resolved(description, schema)
  if (Array.isArray(anyOf)) return anyOf.flatMap((each: JsonSchema) => membersOf(description, each))
  return isMembers(properties) ? Object.keys(properties) : []
}

/** A JSON text with a member twice; `JSON.stringify` cannot write one. */
const doubled = (body: Members): string => {
  const text = JSON.stringify(body)
  const [name] = Object.keys(body)
  return name === undefined ? text : `{${JSON.stringify(name)}:null,${text.slice(1)}`
}

/**
 * Everything that can be wrong with the body of an operation: no JSON, not its type, and each of its members with
 * values of every type. What violates the document must be refused.
 */
export const bodyMistakesOf = (
  description: ApiDescription,
  schemaAt: ReturnType<typeof schemasOf>,
  operation: Operation,
  example: Example
): ReadonlyArray<Mistake> => {
  const schema = requestSchema(operation)
  if (schema === undefined) return []
  const fault = schemaAt(contentPointer(`${operation.pointer}/requestBody`, "application/json"))
  const sound: Members = isMembers(example.body) ? example.body : {}

  const withBody = (name: string, body: unknown, wanted?: RegExp): Mistake => ({
    call: callOf(operation, { ...example, body }, name),
    ...(wanted === undefined ? {} : { wanted })
  })
  /** Refused exactly if the document says that it is wrong; what is right may be refused for other reasons. */
  const judged = (name: string, body: Members, member: string): Mistake =>
    withBody(
      name,
      body,
      fault(body) === undefined || isTolerated(operation, member, body[member]) ? undefined : REFUSED
    )

  // reports are cleaned
  const refusesNul = operation.key !== REPORT

  const members = membersOf(description, schema).flatMap((member) => {
    const { [member]: _, ...others } = sound
    return [
      judged(`without ${member}`, others, member),
      ...VALUES.map((value) =>
        judged(`${member} ${JSON.stringify(value).slice(0, 40)}`, { ...sound, [member]: value }, member)
      ),
      withBody(`NUL in ${member}`, { ...sound, [member]: "a\0b" }, refusesNul ? REFUSED : undefined),
      withBody(`oversize ${member}`, { ...sound, [member]: "x".repeat(OVERSIZE) }, /^413 PAYLOAD_TOO_LARGE$/)
    ]
  })
  return [
    ...hostileBodies(JSON.stringify(example.body)).map(([name, body]) => withBody(name, body)),
    withBody("a member twice", doubled(sound)),
    withBody("an unknown member", { ...sound, colour: "red" }),
    ...members
  ]
}
