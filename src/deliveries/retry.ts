import type { Settings } from "../config.ts"

/** When a delivery that failed is tried again (contract §8.3). */
export interface RetryPolicy {
  /** Attempts in total. */
  readonly attempts: number
  /** Pause in ms after each failed attempt; the last one repeats. */
  readonly delaysMs: readonly [number, ...ReadonlyArray<number>]
}

const FIRST_DELAY_MS = 30_000
const GROWTH = 4
const DEFAULT_ATTEMPTS = 3
/** No pause becomes longer than a day. */
const MAX_DELAY_MS = 86_400_000
/** A pause is longer or shorter by up to this part, so that what failed together does not come back together. */
const JITTER = 0.2
/** A receiver may ask for this long a pause, in seconds; a longer one is not honoured. */
const MAX_RETRY_AFTER_SECS = 3600

/** 30 s, 2 min, 8 min and so on, up to a day. */
const growing = (count: number): RetryPolicy["delaysMs"] => [
  FIRST_DELAY_MS,
  ...Array.from({ length: Math.min(count, 10) }, (_, n) =>
    Math.min(FIRST_DELAY_MS * GROWTH ** (n + 1), MAX_DELAY_MS)
  )
]

/** A schedule replaces the delays and, unless a number of attempts is set, that number too. */
export const retryPolicy = ({ retryAttempts, retryScheduleSecs }: Settings["webhooks"]): RetryPolicy => {
  const [first, ...others] = (retryScheduleSecs ?? []).map((secs) => secs * 1000)
  if (first !== undefined)
    return { attempts: retryAttempts ?? others.length + 2, delaysMs: [first, ...others] }
  const attempts = retryAttempts ?? DEFAULT_ATTEMPTS
  return { attempts, delaysMs: growing(attempts) }
}

/** Sent once, whatever comes of it. */
export const withoutRetries: RetryPolicy = { attempts: 1, delaysMs: [0] }

/**
 * Pause in ms after the attempt with this number; undefined after the last one.
 * @param random in [0, 1)
 * @param retryAfterMs what the receiver asked for, which then counts instead
 */
export const delayAfter = (
  { attempts, delaysMs }: RetryPolicy,
  n: number,
  random: number,
  retryAfterMs?: number
): number | undefined => {
  if (n >= attempts) return undefined
  if (retryAfterMs !== undefined) return retryAfterMs
  const delay = delaysMs[Math.min(n, delaysMs.length) - 1] ?? delaysMs[0]
  return Math.round(delay * (1 - JITTER + 2 * JITTER * random))
}

/**
 * Pause in ms that a `Retry-After` header asks for (RFC 9110, section 10.2.3), at least a second; undefined for one that
 * is malformed or longer than an hour.
 */
export const retryAfterMs = (header: string | undefined, nowMs: number): number | undefined => {
  if (header === undefined) return undefined
  const text = header.trim()
  const ms = /^\d{1,9}$/.test(text)
    ? Number(text) * 1000
    : /^[A-Z][a-z]{2},? /.test(text)
      ? Date.parse(text) - nowMs
      : Number.NaN
  return ms <= MAX_RETRY_AFTER_SECS * 1000 ? Math.max(ms, 1000) : undefined
}
