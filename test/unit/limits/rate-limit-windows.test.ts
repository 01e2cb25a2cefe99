import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { isSpent, limitOf } from "../../../src/http/RateLimiter.ts"
import { FixedWindows } from "../../../src/limits/FixedWindows.ts"

const WINDOW_MS = 1000

const windowsOf = (quota: number, capacity = 1000) =>
  new FixedWindows(limitOf("public-ip", quota, WINDOW_MS), capacity)

/** Whether each of the requests may go on. */
const admitted = (windows: FixedWindows, key: string, at: ReadonlyArray<number>) =>
  at.map((now) => !isSpent(windows.take(key, now)))

describe("a window", () => {
  it("admits as many requests as the quota says, and begins with the key's first request", () => {
    const windows = windowsOf(2)
    assert.deepEqual(admitted(windows, "a", [700, 1000, 1001, 1699]), [true, true, false, false])
    assert.deepEqual(admitted(windows, "a", [1700, 1701, 2699, 2700]), [true, true, false, true])
  })

  it("is one for each key", () => {
    const windows = windowsOf(1)
    assert.deepEqual(admitted(windows, "a", [0, 1]), [true, false])
    assert.deepEqual(admitted(windows, "b", [2, 3]), [true, false])
  })

  it("counts one request too many at most", () => {
    const windows = windowsOf(1)
    for (let i = 0; i < 10; i += 1) windows.take("a", 0)
    assert.strictEqual(windows.take("a", 0).count, 2)
  })

  it("tells its end in Unix seconds, the same for all its requests", () => {
    const windows = windowsOf(3)
    const before = Date.now()
    const { reset } = windows.take("a", 5)
    assert.isAtLeast(Number(reset), Math.ceil((before + WINDOW_MS) / 1000))
    assert.isAtMost(Number(reset), Math.ceil((Date.now() + WINDOW_MS) / 1000))
    assert.strictEqual(windows.take("a", 900).reset, reset)
  })

  it("is found while it lasts, without being counted", () => {
    const windows = windowsOf(5)
    assert.isUndefined(windows.find("a", 0))
    windows.take("a", 0)
    assert.strictEqual(windows.find("a", 999)?.count, 1)
    assert.strictEqual(windows.find("a", 999)?.count, 1)
    assert.isUndefined(windows.find("a", 1000))
  })

  it("goes on from what was counted elsewhere", () => {
    const windows = windowsOf(5)
    windows.take("a", 0)
    assert.strictEqual(windows.set("a", 4, 100, 300).count, 4)
    assert.deepEqual(admitted(windows, "a", [101, 102, 399, 400]), [true, false, false, true])
    assert.strictEqual(windows.set("b", 1000, 0, 300).count, 6)
  })
})

describe("many keys", () => {
  it("never take more places than there are", () => {
    const windows = windowsOf(3, 50)
    for (let i = 0; i < 5000; i += 1) {
      windows.take(`key-${i}`, i % 900)
      assert.isAtMost(windows.size, 50)
    }
  })

  it("do not set free the keys that are held back", () => {
    const windows = windowsOf(4, 64)
    const heldBack = ["a", "b", "c", "d"]
    for (const key of heldBack) assert.deepEqual(admitted(windows, key, [0, 0, 0, 0, 0]).at(-1), false)
    for (let i = 0; i < 100_000; i += 1) windows.take(`flood-${i}`, 1)
    for (const key of heldBack) assert.deepEqual(admitted(windows, key, [2]), [false], key)
  })

  it("give way to new ones also when all are held back", () => {
    const windows = windowsOf(1, 16)
    for (let i = 0; i < 1000; i += 1) assert.deepEqual(admitted(windows, `key-${i}`, [0, 0]), [true, false])
    assert.strictEqual(windows.size, 16)
  })

  it("leave their places once their windows have ended", () => {
    const windows = windowsOf(3, 10_000)
    for (let i = 0; i < 100; i += 1) windows.take(`early-${i}`, 0)
    for (let i = 0; i < 100; i += 1) windows.take(`late-${i}`, WINDOW_MS)
    assert.strictEqual(windows.size, 100)
    for (let now = WINDOW_MS * 2; now < WINDOW_MS * 12; now += 10) windows.take(`steady-${now}`, now)
    assert.isAtMost(windows.size, 202)
  })
})

describe("any run of requests", () => {
  const runs = fc.record({
    quota: fc.integer({ min: 1, max: 5 }),
    requests: fc.array(
      fc.record({ key: fc.constantFrom("a", "b", "c"), wait: fc.integer({ min: 0, max: 700 }) }),
      { maxLength: 200 }
    )
  })

  it("is counted as by a list of all requests, while there are places for all keys", () => {
    fc.assert(
      fc.property(runs, ({ quota, requests }) => {
        const windows = windowsOf(quota)
        const begun = new Map<string, { readonly at: number; count: number }>()
        let now = 0
        for (const { key, wait } of requests) {
          now += wait
          const known = begun.get(key)
          const window = known !== undefined && now < known.at + WINDOW_MS ? known : { at: now, count: 0 }
          begun.set(key, window)
          window.count += 1
          const found = windows.take(key, now)
          assert.strictEqual(isSpent(found), window.count > quota)
          assert.strictEqual(found.endsAt, window.at + WINDOW_MS)
        }
      })
    )
  })
})
