import { Effect, Layer, Metric } from "effect"
import { AppConfig } from "../config.ts"
import { type Bucket, isSpent, limitOf, RateLimiter } from "../http/RateLimiter.ts"
import { FixedWindows } from "./FixedWindows.ts"
import * as SharedCounters from "./SharedCounters.ts"

/** Windows per bucket kept in memory, some 18 MiB when all are in use. */
const CAPACITY = 65_536

/**
 * Rate limits as configured: counted in this process, or with `REDIS_URL` by all replicas together. Also then each
 * process keeps the windows as it last saw them. One that is used up stays so until its end, so whoever is refused
 * costs no round trip; and when Redis is lost, counting goes on from there.
 */
export const layer = Layer.effect(
  RateLimiter,
  Effect.gen(function* () {
    const { enabled, enrollPerIp, perApiKey, publicPerIp, redisUrl, windowMs } = (yield* AppConfig).rateLimit
    yield* Metric.update(SharedCounters.storeErrors, 0)
    if (!enabled) return RateLimiter.of({ take: () => undefined })

    const windowsOf = (bucket: Bucket, quota: number) =>
      quota > 0 ? new FixedWindows(limitOf(bucket, quota, windowMs), CAPACITY) : undefined
    const byBucket: Readonly<Record<Bucket, FixedWindows | undefined>> = {
      "enroll-ip": windowsOf("enroll-ip", enrollPerIp),
      "public-ip": windowsOf("public-ip", publicPerIp),
      "api-key": windowsOf("api-key", perApiKey)
    }
    if (redisUrl === undefined) {
      return RateLimiter.of({ take: (bucket, key, now) => byBucket[bucket]?.take(key, now) })
    }

    const shared = yield* SharedCounters.make(redisUrl)
    return RateLimiter.of({
      take: (bucket, key, now) => {
        const windows = byBucket[bucket]
        if (windows === undefined) return undefined
        const seen = windows.find(key, now)
        if (seen !== undefined && isSpent(seen)) return seen
        if (!shared.isUp()) return windows.take(key, now)
        // the length is part of the name, so that changing it begins anew
        return Effect.map(shared.count(`${windowMs}:${bucket}:${key}`, windowMs), (counted) =>
          counted === undefined
            ? windows.take(key, performance.now())
            : windows.set(key, counted.count, performance.now(), counted.leftMs)
        )
      }
    })
  })
)
