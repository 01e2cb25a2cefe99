import { createClient } from "@redis/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Metric, Redacted } from "effect"
import * as SharedCounters from "../../../src/limits/SharedCounters.ts"
import { eventually } from "../../support/db/eventually.ts"
import { kinds, redisServer } from "../../support/redis/RedisServer.ts"
import { StandIn } from "../../support/redis/StandIn.ts"
import { Proxy } from "../../support/stream/Proxy.ts"

const WINDOW_MS = 60_000
/** Time enough for answers on a busy machine, but for the suites that are about time. */
const PATIENT_MS = 5000
const SERVICE_MS = 100

/** Counters on this server, and what they have logged. */
const countersOn = (url: string, answerMs = PATIENT_MS) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.layer([
      Logger.make<unknown, void>(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
    ])
    const counters = yield* SharedCounters.make(Redacted.make(url), {
      answerMs,
      greetingMs: 400,
      reconnectMs: 50
    }).pipe(Effect.provide(logger))
    return { ...counters, lines }
  })

const untilUp = (counters: SharedCounters.SharedCounters) => eventually(Effect.sync(counters.isUp), Boolean)
const untilDown = (counters: SharedCounters.SharedCounters) =>
  eventually(Effect.sync(counters.isUp), (isUp) => !isUp)

const errors = Effect.map(
  Metric.snapshot,
  (metrics) =>
    metrics.flatMap((metric) =>
      metric.id === "rate_limit_store_errors_total" && metric.type === "Counter"
        ? Number(metric.state.count)
        : []
    )[0] ?? 0
)

/** Its answer, and how long it took in ms. */
const timed = <A, R>(effect: Effect.Effect<A, never, R>) =>
  Effect.gen(function* () {
    const startedAt = performance.now()
    const value = yield* effect
    return { value, ms: performance.now() - startedAt }
  })

for (const [name, launch] of kinds) {
  describe(`shared counters on ${name}`, () => {
    it.live("count a key over all connections, in a window that keeps its end", () =>
      Effect.gen(function* () {
        const { url } = yield* redisServer(launch)
        const [one, other] = [yield* countersOn(url), yield* countersOn(url)]
        yield* untilUp(one)
        yield* untilUp(other)
        const startedAt = Date.now()
        const counts = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? one : other)),
          (counters) => counters.count("key", WINDOW_MS),
          { concurrency: 40 }
        )
        assert.deepEqual(
          counts.map((counted) => counted?.count).toSorted((a = 0, b = 0) => a - b),
          Array.from({ length: 40 }, (_, i) => i + 1)
        )
        for (const counted of counts) {
          assert.isAtMost(counted?.leftMs ?? Number.NaN, WINDOW_MS)
          assert.isAtLeast(counted?.leftMs ?? Number.NaN, WINDOW_MS - (Date.now() - startedAt) - 2)
        }
        assert.strictEqual((yield* one.count("another", WINDOW_MS))?.count, 1)
        assert.deepEqual(one.lines, [])
      })
    )

    it.live("begin a new window once one has ended", () =>
      Effect.gen(function* () {
        const { url } = yield* redisServer(launch)
        const counters = yield* countersOn(url)
        yield* untilUp(counters)
        assert.strictEqual((yield* counters.count("key", 150))?.count, 1)
        assert.strictEqual((yield* counters.count("key", 150))?.count, 2)
        yield* eventually(counters.count("key", 150), (counted) => counted?.count === 1)
      })
    )

    it.live("give a window its end that has none", () =>
      Effect.gen(function* () {
        const { url } = yield* redisServer(launch)
        const counters = yield* countersOn(url)
        yield* untilUp(counters)
        const client = yield* Effect.acquireRelease(
          Effect.promise(() => createClient({ url, RESP: 2, disableClientInfo: true }).connect()),
          (opened) => Effect.sync(() => opened.destroy())
        )
        yield* Effect.promise(() => client.set("aitp-cp:limit:key", "7"))
        assert.deepEqual(yield* counters.count("key", WINDOW_MS), { count: 8, leftMs: WINDOW_MS })
        const left = yield* Effect.promise(() => client.pTTL("aitp-cp:limit:key"))
        assert.isTrue(left > WINDOW_MS - 5000 && left <= WINDOW_MS)
      })
    )

    it.live(
      "are given up when the server dies, and used again when it is back; the log tells each once",
      () =>
        Effect.gen(function* () {
          const server = yield* redisServer(launch)
          const counters = yield* countersOn(server.url)
          yield* untilUp(counters)
          yield* server.kill
          yield* untilDown(counters)
          assert.isUndefined(yield* counters.count("key", WINDOW_MS))
          const before = yield* errors
          yield* eventually(errors, (count) => count >= before + 2) // goes on trying
          yield* server.restart
          yield* untilUp(counters)
          assert.strictEqual((yield* counters.count("key", WINDOW_MS))?.count, 1)
          assert.lengthOf(counters.lines, 2, counters.lines.join("\n"))
          assert.match(counters.lines[0] ?? "", /^Warn each replica counts rate limits for itself: \S/)
          assert.strictEqual(counters.lines[1], "Info rate limits are shared by all replicas again")
        })
    )

    it.live("need no server to start with", () =>
      Effect.gen(function* () {
        const server = yield* redisServer(launch)
        yield* server.kill
        const { ms, value: counters } = yield* timed(countersOn(server.url))
        assert.isBelow(ms, 1000)
        yield* eventually(
          Effect.sync(() => counters.lines.length > 0),
          Boolean
        )
        assert.isFalse(counters.isUp())
        yield* server.restart
        yield* untilUp(counters)
      })
    )

    it.live("are not given up by a process that had no time to listen", () =>
      Effect.gen(function* () {
        const { url } = yield* redisServer(launch)
        const counters = yield* countersOn(url, SERVICE_MS)
        yield* untilUp(counters)
        const asked = yield* Effect.forkChild(counters.count("key", WINDOW_MS), { startImmediately: true })
        const blockedUntil = performance.now() + SERVICE_MS * 2
        while (performance.now() < blockedUntil);
        assert.strictEqual((yield* Fiber.join(asked))?.count, 1)
        assert.deepEqual(counters.lines, [])
      })
    )

    it.live("hold up those who ask while the server falls silent for 100 ms, and nobody after them", () =>
      Effect.gen(function* () {
        const { url } = yield* redisServer(launch)
        const proxy = yield* Proxy.make(new URL(url))
        const counters = yield* countersOn(`redis://127.0.0.1:${proxy.port}`, SERVICE_MS)
        yield* untilUp(counters)
        yield* counters.count("key", WINDOW_MS)

        proxy.silent = true
        const first = yield* Effect.forEach(
          Array.from({ length: 20 }, () => counters.count("key", WINDOW_MS)),
          timed,
          { concurrency: 20 }
        )
        for (const { ms, value } of first) {
          assert.isUndefined(value)
          assert.isAbove(ms, 80)
          assert.isBelow(ms, 1000) // the machine may be busy
        }
        assert.isFalse(counters.isUp())
        const next = yield* timed(counters.count("key", WINDOW_MS))
        assert.isUndefined(next.value)
        assert.isBelow(next.ms, 50)
        // a new connection is taken and not greeted: it is no way out
        yield* eventually(
          Effect.sync(() => proxy.connections),
          (connections) => connections >= 3
        )
        assert.isFalse(counters.isUp())

        proxy.silent = false
        yield* untilUp(counters)
        assert.isAtLeast((yield* counters.count("key", WINDOW_MS))?.count ?? 0, 2)
        assert.lengthOf(counters.lines, 2, counters.lines.join("\n"))
      })
    )
  })
}

describe("shared counters", () => {
  const standIn = Effect.gen(function* () {
    const server = new StandIn()
    const { url } = yield* redisServer(async (port) => {
      await server.listen(port)
      return server
    })
    return { server, url }
  })

  it.live("are given up when the server takes no writes, until it does again", () =>
    Effect.gen(function* () {
      const { server, url } = yield* standIn
      const counters = yield* countersOn(url)
      yield* untilUp(counters)
      server.refusal = "READONLY You can't write against a read only replica."
      assert.isUndefined(yield* counters.count("key", WINDOW_MS))
      const before = yield* errors
      yield* eventually(errors, (count) => count >= before + 2)
      assert.isFalse(counters.isUp())
      server.refusal = undefined
      yield* untilUp(counters)
      assert.lengthOf(counters.lines, 2, counters.lines.join("\n"))
      assert.include(counters.lines[0], "READONLY")
    })
  )

  it.live("tell the log nothing of the password", () =>
    Effect.gen(function* () {
      const { server, url } = yield* standIn
      server.refusal = "WRONGPASS invalid username-password pair or user is disabled."
      const counters = yield* countersOn(url.replace("//", "//someone:s3cr3t@"))
      yield* eventually(
        Effect.sync(() => counters.lines.length > 0),
        Boolean
      )
      assert.notInclude(counters.lines.join("\n"), "s3cr3t")
      assert.include(counters.lines[0], "WRONGPASS")
    })
  )
})
