/** Headers that let browsers of other origins call the API; credentials mode is never allowed. */

const METHODS = "GET,POST,PATCH,DELETE,OPTIONS,PUT,HEAD"

const REQUEST_HEADERS = [
  "authorization",
  "content-type",
  "x-request-id",
  "x-aitp-namespace",
  "idempotency-key",
  "last-event-id",
  "if-none-match",
  "traceparent"
].join(",")

const RESPONSE_HEADERS = [
  "x-request-id",
  "idempotency-replayed",
  "retry-after",
  "ratelimit",
  "ratelimit-policy",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
  "etag",
  "link",
  "aitp-last-event-id",
  "x-jwks-cached-at",
  "x-issuer-list-fetched-at"
].join(",")

const PREFLIGHT_SECONDS = "600"

type Headers = Readonly<Record<string, string>>

export interface Cors {
  /** For every answer below `/api`. */
  readonly api: (origin: string | undefined) => Headers
  /** For the public documents outside it: any origin may read them. */
  readonly documents: Headers
  /** What an answer to `OPTIONS` adds. */
  readonly preflight: Headers
}

const headersFor = (origin: string): Headers => ({
  "access-control-allow-origin": origin,
  "access-control-allow-methods": METHODS,
  "access-control-allow-headers": REQUEST_HEADERS,
  "access-control-expose-headers": RESPONSE_HEADERS,
  vary: "Origin"
})

/** Unset origins mean the console of a local installation, or every origin in production. */
export const make = (origins: ReadonlyArray<string> | undefined, production: boolean): Cors => {
  const [first, ...others] = origins?.length ? origins : [production ? "*" : "http://localhost:3000"]
  const fallback = headersFor(first ?? "*")
  const listed = new Map([first ?? "*", ...others].map((origin) => [origin, headersFor(origin)]))
  return {
    api: (origin) => (origin === undefined ? fallback : (listed.get(origin) ?? fallback)),
    documents: {
      "access-control-allow-origin": "*",
      "access-control-expose-headers": RESPONSE_HEADERS
    },
    preflight: { "access-control-max-age": PREFLIGHT_SECONDS }
  }
}
