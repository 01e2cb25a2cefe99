import type { CatalogueEntry } from "../wire/catalogue.ts"
import type { Header } from "../wire/headers.ts"

/**
 * Headers in the API description: those that an endpoint names, and those that follow from what it is. What every answer
 * has is told once, in the text at the head of the document.
 */

type Json = Record<string, unknown>

/** What decides about the headers of an operation. */
export interface HeaderFacts {
  /** Answers with an `ETag`, and with 304. */
  readonly conditional: boolean
  /** Takes an `Idempotency-Key`. */
  readonly idempotent: boolean
  /** Answers with one page of a list. */
  readonly paged: boolean
  /** What the endpoint itself names. */
  readonly request: ReadonlyArray<Header>
  readonly response: ReadonlyArray<Header>
}

const TEXT = { type: "string" }
const WHOLE = { type: "integer", minimum: 0 }

const IDEMPOTENCY_KEY: Header = {
  name: "Idempotency-Key",
  description:
    "1 to 255 printable characters. A repeat with the same key gets the first answer and does nothing."
}

const IF_NONE_MATCH: Header = {
  name: "If-None-Match",
  description: "Tags of the versions that the client has."
}

const ETAG: Header = { name: "ETag", description: "Strong tag of this version." }
const DIGEST: Header = {
  name: "Content-Digest",
  description: "SHA-256 of the body (RFC 9530); not on one that was compressed for this answer."
}
const LINK: Header = { name: "Link", description: 'The next page, if there is one: `rel="next"` (RFC 8288).' }
const REPLAYED: Header = { name: "Idempotency-Replayed", description: "`true` on the repeat of an answer." }

const RETRY_AFTER: Header = {
  name: "Retry-After",
  description: "Seconds after which to try again.",
  schema: WHOLE
}

const CHALLENGE: Header = { name: "WWW-Authenticate", description: "`Bearer`." }

/** Headers that come with codes, as the catalogue has them. */
const OF_CODES = [RETRY_AFTER, CHALLENGE]

const described = (headers: ReadonlyArray<Header>, required: boolean): Json =>
  Object.fromEntries(
    headers.map(({ description, name, schema = TEXT }) => [name, { description, required, schema }])
  )

/** The headers that the operation reads, as parameters. */
export const headerParameters = ({ conditional, idempotent, request }: HeaderFacts): ReadonlyArray<Json> =>
  [...request, ...(idempotent ? [IDEMPOTENCY_KEY] : []), ...(conditional ? [IF_NONE_MATCH] : [])].map(
    ({ description, name, schema = TEXT }) => ({ name, in: "header", required: false, description, schema })
  )

/** Headers of its successful answers. */
export const successHeaders = (facts: HeaderFacts): Json => ({
  ...described(facts.response, false),
  ...described(facts.conditional ? [ETAG] : [], true),
  ...described(
    [
      ...(facts.conditional ? [DIGEST] : []),
      ...(facts.paged ? [LINK] : []),
      ...(facts.idempotent ? [REPLAYED] : [])
    ],
    false
  )
})

/** Headers of the answer that a client has the version already. */
export const notModifiedHeaders = (facts: HeaderFacts): Json => ({
  ...described(facts.response, false),
  ...described([ETAG], true)
})

/**
 * Headers of a refusal; one that all of its codes send is required.
 * @param isOnlyErrors whether the status means nothing but these codes
 */
export const refusalHeaders = (
  status: number,
  entries: ReadonlyArray<CatalogueEntry>,
  isOnlyErrors: boolean
): Json => {
  const result = status === 429 ? described([RETRY_AFTER], true) : {}
  for (const header of OF_CODES) {
    const sending = entries.filter(({ headers }) => header.name.toLowerCase() in headers)
    if (sending.length > 0)
      Object.assign(result, described([header], isOnlyErrors && sending.length === entries.length))
  }
  return result
}
