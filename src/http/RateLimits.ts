import { hash } from "node:crypto"
import { type Context, type Effect, Metric } from "effect"
import type { WireError } from "../wire/catalogue.ts"
import { RateLimited } from "../wire/errors.ts"
import * as ApiKeys from "./ApiKeys.ts"
import type { CountedResponse } from "./CountedResponse.ts"
import type { Exchange } from "./Exchange.ts"
import { BUCKETS, type Bucket, isSpent, type RateLimiter, type Window } from "./RateLimiter.ts"

const drops = Metric.counter("rate_limit_drops", {
  description: "Requests refused because their rate limit was used up, by bucket.",
  incremental: true
})

const perBucket = <A>(make: (bucket: Bucket) => A): Readonly<Record<Bucket, A>> => ({
  "enroll-ip": make("enroll-ip"),
  "public-ip": make("public-ip"),
  "api-key": make("api-key")
})

// rendered only, never thrown: one value each serves all requests
const refusals = perBucket((bucket) => new RateLimited({ bucket }))

/** Digits of the key's digest that name it, as in the actor id. */
const KEY_DIGITS = 16

export interface RateLimits {
  /** Counts the request once its credential has been looked at; undefined when nothing limits it. */
  readonly take: (exchange: Exchange) => Window | Effect.Effect<Window> | undefined
  /**
   * Writes the window into the head of the answer: the fields of draft-ietf-httpapi-ratelimit-headers-10 and the older
   * `X-RateLimit-*`. Gives the refusal when the window is used up.
   * @param now on the clock of `performance.now`
   */
  readonly settle: (answer: CountedResponse, window: Window, now: number) => WireError | undefined
}

/**
 * @param isOpen whether any key is as good as another
 * @param clientIp what a request without key is counted by
 */
export const make = (
  limiter: RateLimiter["Service"],
  isOpen: boolean,
  clientIp: (source: Exchange["source"]) => string,
  context: Context.Context<never>
): RateLimits => {
  const dropped = perBucket((bucket) => Metric.withAttributes(drops, { bucket }))
  for (const bucket of BUCKETS) dropped[bucket].updateUnsafe(0, context)

  /** Name of the key that the request is counted by. While the service is open that is any, checked by nobody. */
  const keyOf = ({ principal, request, resource, source }: Exchange): string | undefined => {
    if (principal.credentialHash !== "") return principal.credentialHash.slice(0, KEY_DIGITS)
    if (!isOpen || resource?.byMethod.get(request.method)?.access._tag === "enrollmentToken") return undefined
    const key = ApiKeys.keyOf(source.headers.authorization ?? "")
    return key === "" ? undefined : hash("sha256", key, "hex").slice(0, KEY_DIGITS)
  }

  return {
    take: (exchange) => {
      const rule = exchange.resource?.limitedBy ?? (exchange.isApi ? "caller" : "none")
      if (rule === "none") return undefined
      const { source, startedAt } = exchange
      if (rule === "enroll-ip") return limiter.take(rule, clientIp(source), startedAt)
      const key = keyOf(exchange)
      return key === undefined
        ? limiter.take("public-ip", clientIp(source), startedAt)
        : limiter.take("api-key", key, startedAt)
    },

    settle: ({ edgeHeaders }, window, now) => {
      const { count, endsAt, limit, reset } = window
      const spent = isSpent(window)
      const left = String(spent ? 0 : limit.quota - count)
      const leftMs = Math.round(endsAt - now) // the sum of fractions that it is would round up too far
      const seconds = String(Math.max(1, Math.ceil(leftMs / 1000)))
      edgeHeaders["ratelimit-policy"] = limit.policy
      edgeHeaders["ratelimit"] = `"${limit.bucket}";r=${left};t=${seconds}`
      edgeHeaders["x-ratelimit-limit"] = limit.quotaText
      edgeHeaders["x-ratelimit-remaining"] = left
      edgeHeaders["x-ratelimit-reset"] = reset
      if (!spent) return undefined
      edgeHeaders["retry-after"] = seconds
      dropped[limit.bucket].updateUnsafe(1, context)
      return refusals[limit.bucket]
    }
  }
}
