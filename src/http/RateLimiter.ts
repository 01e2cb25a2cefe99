import { Context, type Effect, Layer } from "effect"

/** Requests are counted apart in each of these. */
export type Bucket = "enroll-ip" | "public-ip" | "api-key"

export const BUCKETS: ReadonlyArray<Bucket> = ["enroll-ip", "public-ip", "api-key"]

/** How much a bucket admits. */
export interface Limit {
  readonly bucket: Bucket
  /** Requests of one key in one window, at least 1. */
  readonly quota: number
  /** Length of a window in ms. */
  readonly windowMs: number
  /** Values of `X-RateLimit-Limit` and `RateLimit-Policy`, which every answer carries. */
  readonly quotaText: string
  readonly policy: string
}

export const limitOf = (bucket: Bucket, quota: number, windowMs: number): Limit => ({
  bucket,
  quota,
  windowMs,
  quotaText: String(quota),
  policy: `"${bucket}";q=${quota};w=${Math.ceil(windowMs / 1000)}`
})

/** The window of one key: it begins with the key's first request and has a fixed length. */
export interface Window {
  readonly limit: Limit
  /** Requests counted in it; above the quota by 1 once one was refused. */
  readonly count: number
  /** On the clock of `performance.now`. */
  readonly endsAt: number
  /** Its end in Unix seconds, rounded up. */
  readonly reset: string
}

/** Whether the request that was counted last may not go on. */
export const isSpent = ({ count, limit }: Window): boolean => count > limit.quota

/** Counts requests. Where the counters are, and who shares them, is no concern of the edge. */
export class RateLimiter extends Context.Service<
  RateLimiter,
  {
    /**
     * Counts one request and gives the key's window after it, valid until the caller yields; undefined for a bucket
     * without limit. Counters in memory answer at once, shared ones after a round trip. Never fails.
     * @param now `performance.now` of the request
     */
    readonly take: (bucket: Bucket, key: string, now: number) => Window | Effect.Effect<Window> | undefined
  }
>()("cp/http/RateLimiter") {
  /** Limits nothing. */
  static readonly layerOff = Layer.succeed(RateLimiter, { take: () => undefined })
}
