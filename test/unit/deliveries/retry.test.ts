import { assert, describe, it } from "@effect/vitest"
import { delayAfter, retryAfterMs, type RetryPolicy, retryPolicy } from "../../../src/deliveries/retry.ts"

const settings = {
  retryAttempts: undefined,
  retryScheduleSecs: undefined,
  breakerFailureThreshold: 5,
  breakerResetMs: 60_000,
  urlAllowlist: [],
  allowCidrs: [],
  timeoutMs: 10_000,
  concurrency: 64,
  concurrencyPerEndpoint: 8,
  disableAfterHours: 120,
  signingSeedHex: undefined
}

const STANDARD = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

/** Seconds of every pause of a policy, without jitter; the last attempt has none. */
const pauses = (policy: RetryPolicy) => {
  const found: Array<number> = []
  for (let n = 1; ; n += 1) {
    const delay = delayAfter(policy, n, 0.5)
    if (delay === undefined) return { attempts: n, pauses: found }
    found.push(delay / 1000)
  }
}

describe("retries", () => {
  it("are three attempts with 30 s and 2 min between them by default", () => {
    assert.deepEqual(pauses(retryPolicy(settings)), { attempts: 3, pauses: [30, 120] })
  })

  it("grow fourfold with more attempts, and never beyond a day", () => {
    assert.deepEqual(
      pauses(retryPolicy({ ...settings, retryAttempts: 9 })).pauses,
      [30, 120, 480, 1920, 7680, 30_720, 86_400, 86_400]
    )
    assert.deepEqual(pauses(retryPolicy({ ...settings, retryAttempts: 1 })), { attempts: 1, pauses: [] })
    assert.strictEqual(delayAfter(retryPolicy({ ...settings, retryAttempts: 1000 }), 999, 0.5), 86_400_000)
  })

  it("follow a schedule, with one attempt more than it has pauses", () => {
    assert.deepEqual(pauses(retryPolicy({ ...settings, retryScheduleSecs: STANDARD })), {
      attempts: 10,
      pauses: STANDARD
    })
    assert.deepEqual(pauses(retryPolicy({ ...settings, retryScheduleSecs: [7] })), {
      attempts: 2,
      pauses: [7]
    })
  })

  it("repeat the last pause of a schedule, or end before it, when the number of attempts is set", () => {
    const schedule = { ...settings, retryScheduleSecs: [1, 2] }
    assert.deepEqual(pauses(retryPolicy({ ...schedule, retryAttempts: 5 })).pauses, [1, 2, 2, 2])
    assert.deepEqual(pauses(retryPolicy({ ...schedule, retryAttempts: 2 })).pauses, [1])
  })

  it("are spread by a fifth to either side", () => {
    const policy = retryPolicy(settings)
    assert.strictEqual(delayAfter(policy, 1, 0), 24_000)
    assert.isAtMost(delayAfter(policy, 1, 0.999_999) ?? 0, 36_000)
    assert.isAbove(delayAfter(policy, 1, 0.999_999) ?? 0, 35_900)
  })

  it("come when the receiver asks for them, but no more often", () => {
    const policy = retryPolicy(settings)
    assert.strictEqual(delayAfter(policy, 1, 0.5, 7000), 7000)
    assert.isUndefined(delayAfter(policy, 3, 0.5, 7000))
  })
})

describe("Retry-After", () => {
  const now = Date.parse("2026-01-02T03:04:05Z")

  it("is seconds or a date, up to an hour", () => {
    assert.strictEqual(retryAfterMs("120", now), 120_000)
    assert.strictEqual(retryAfterMs(" 3600 ", now), 3_600_000)
    assert.strictEqual(retryAfterMs("Fri, 02 Jan 2026 03:14:05 GMT", now), 600_000)
  })

  it("means at least a second", () => {
    assert.strictEqual(retryAfterMs("0", now), 1000)
    assert.strictEqual(retryAfterMs("Fri, 02 Jan 2026 03:00:00 GMT", now), 1000)
  })

  it("is ignored when it is longer or malformed", () => {
    for (const header of [undefined, "", "3601", "-1", "1.5", "soon", "1e3", "0x10", "9".repeat(40)])
      assert.isUndefined(retryAfterMs(header, now), header)
    assert.isUndefined(retryAfterMs("Fri, 02 Jan 2026 05:04:05 GMT", now))
  })
})
