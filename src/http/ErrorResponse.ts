import { HttpServerResponse } from "effect/http"
import { entryOf, envelopeOf, problemOf, type WireError } from "../wire/catalogue.ts"

/** What the form of an error depends on. */
export interface ErrorContext {
  /** Public origin; problem types are URLs below it. */
  readonly baseUrl: string
  /** Path of the request. */
  readonly path: string
  readonly wantsProblem: boolean
}

/** Whether an `Accept` value names the problem type; a wildcard does not ask for it. */
export const asksForProblem = (accept: string | undefined): boolean =>
  accept !== undefined && accept.toLowerCase().includes("application/problem+json")

/** The answer to a failed request: status and headers of its code, body of its fields. */
export const errorResponse = (
  error: WireError,
  context: ErrorContext,
  headers?: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse => {
  const entry = entryOf(error)
  const options = { status: entry?.status ?? 500, headers: { ...entry?.headers, ...headers } }
  return context.wantsProblem
    ? HttpServerResponse.jsonUnsafe(problemOf(error, context.baseUrl, context.path), {
        ...options,
        contentType: "application/problem+json"
      })
    : HttpServerResponse.jsonUnsafe(envelopeOf(error), options)
}
