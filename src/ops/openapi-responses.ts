import { catalogue, type CatalogueEntry } from "../wire/catalogue.ts"
import { type HeaderFacts, notModifiedHeaders, refusalHeaders, successHeaders } from "./openapi-headers.ts"

/** Answers in the API description: those that an endpoint declares, and those that the edge gives to any request. */

type Json = Record<string, unknown>

/** Name of an error's body among the component schemas; the same that effect gives it on endpoints that declare it. */
export const componentOf = ({ name }: CatalogueEntry): string => `${name}Encoded`

const REFERENCE = "#/components/schemas/"

/** Component of a refusal in the form of RFC 9457. */
export const PROBLEM = "Problem"

interface Alternatives {
  readonly $ref?: string
  readonly not?: unknown
  readonly anyOf?: ReadonlyArray<Alternatives>
}

export interface ResponseObject {
  readonly description: string
  readonly content?: Readonly<Record<string, { readonly schema: Alternatives }>>
  readonly headers?: Json
}

export type Responses = Readonly<Record<string, ResponseObject>>

const byComponent = new Map([...catalogue.values()].map((entry) => [REFERENCE + componentOf(entry), entry]))

const alternativesOf = (response: ResponseObject | undefined): ReadonlyArray<Alternatives> => {
  const schema = response?.content?.["application/json"]?.schema
  return schema === undefined ? [] : (schema.anyOf ?? [schema])
}

/** The codes that a response declares. */
const entriesOf = (response: ResponseObject | undefined): ReadonlyArray<CatalogueEntry> =>
  alternativesOf(response).flatMap(({ $ref }) => byComponent.get($ref ?? "") ?? [])

/** Whether an operation declares the code. */
export const declares = (responses: Responses, code: string): boolean =>
  Object.values(responses).some((response) => entriesOf(response).some((entry) => entry.code === code))

/** An endpoint that never succeeds declares a success nobody can have. */
const isPossible = ({ content }: ResponseObject): boolean =>
  Object.values(content ?? {}).every(({ schema }) => schema.not === undefined)

const refusal = (
  declared: ResponseObject | undefined,
  added: ReadonlyArray<CatalogueEntry>,
  status: number
): ResponseObject => {
  const known = entriesOf(declared)
  const entries = [...known, ...added.filter((entry) => !known.includes(entry))]
  const others = alternativesOf(declared).filter(({ $ref }) => !byComponent.has($ref ?? ""))
  const all = [...others, ...entries.map((entry) => ({ $ref: REFERENCE + componentOf(entry) }))]
  const [only] = all
  return {
    description: declared?.description ?? entries.map(({ title }) => title).join("; "),
    headers: refusalHeaders(status, entries, others.length === 0),
    content: {
      ...declared?.content,
      "application/json": { schema: all.length === 1 && only !== undefined ? only : { anyOf: all } },
      "application/problem+json": { schema: { $ref: REFERENCE + PROBLEM } }
    }
  }
}

/**
 * All answers of an operation.
 * @param declared by the endpoint
 * @param codes errors that any request to it may meet
 */
export const responsesOf = (
  declared: Responses,
  codes: ReadonlyArray<string>,
  facts: HeaderFacts
): Responses => {
  const result: Record<string, ResponseObject> = {}
  for (const [status, response] of Object.entries(declared)) {
    if (Number(status) < 400 && isPossible(response))
      result[status] = { ...response, headers: successHeaders(facts) }
  }
  if (facts.conditional)
    result["304"] = { description: "The client has this version", headers: notModifiedHeaders(facts) }
  const added = Map.groupBy(
    codes.flatMap((code) => catalogue.get(code) ?? []),
    (entry) => String(entry.status)
  )
  const statuses = new Set(
    [...Object.keys(declared), ...added.keys()].filter((status) => Number(status) >= 400)
  )
  for (const status of statuses)
    result[status] = refusal(declared[status], added.get(status) ?? [], Number(status))
  return result
}
