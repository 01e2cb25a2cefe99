import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { outcomeOf, sendTo } from "../support/service/client.ts"
import { Control, ownService, Service } from "../support/service/Service.ts"
import { report, reportAndStream, seqOf } from "../support/stream/report.ts"
import { subscribe } from "../support/stream/subscriber.ts"

const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

const some = (count: number, fields: object = {}) =>
  Array.from({ length: count }, () => ({ type: "stream.test", payload: {}, ...fields }))

const headers = (name: string) => ({ "last-event-id": name })

layer(ownService({ MAX_AUDIT_EVENTS_MEMORY: "120" }), { timeout: "60 seconds", excludeTestServices: true })(
  "the event stream",
  (it) => {
    it.effect("sends its first bytes at once, with the headers of a stream", () =>
      Effect.gen(function* () {
        const stream = yield* subscribe(yield* Service, "?last_event_id=latest")
        yield* stream.until(({ text }) => text !== "", 1000)
        assert.isTrue(stream.text.startsWith("retry: 3000\n: connected\n\n"))
        assert.strictEqual(stream.status, 200)
        assert.strictEqual(stream.headers["content-type"], "text/event-stream")
        assert.strictEqual(stream.headers["cache-control"], "no-cache, no-transform")
        assert.strictEqual(stream.headers["connection"], "keep-alive")
        assert.strictEqual(stream.headers["x-accel-buffering"], "no")
        assert.isUndefined(stream.headers["content-encoding"])
        assert.match(String(stream.headers["aitp-last-event-id"]), /^[0-9a-f]{8}\.\d+$/)
      })
    )

    it.effect("begins with the last 100 events and says after which position", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const head = seqOf(yield* reportAndStream(service, some(150)))
        const stream = yield* subscribe(service)
        yield* stream.until(({ seqs }) => seqs.length >= 100)
        assert.deepEqual(stream.seqs, upTo(head - 99, head))
        assert.strictEqual(seqOf(String(stream.headers["aitp-last-event-id"])), head - 100)
        yield* report(service, some(2))
        yield* stream.until(({ seqs }) => seqs.length >= 102)
        assert.deepEqual(stream.seqs, upTo(head - 99, head + 2))
      })
    )

    it.effect("continues exactly after any position, in memory or not; the header wins", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const position = yield* reportAndStream(service, some(400))
        const [epoch] = position.split(".")
        const head = seqOf(position)
        for (const after of [0, 1, head - 399, head - 121, head - 120, head - 119, head - 1, head]) {
          const stream = yield* subscribe(service, "?last_event_id=1", headers(`${epoch}.${after}`))
          yield* stream.until(({ seqs, text }) => text !== "" && seqs.length >= head - after)
          assert.deepEqual(stream.seqs, upTo(after + 1, head), `after ${after}`)
          assert.strictEqual(stream.headers["aitp-last-event-id"], `${epoch}.${after}`)
          stream.close()
        }
        const bare = yield* subscribe(service, `?lastEventId=${head - 2}`)
        yield* bare.until(({ seqs }) => seqs.length === 2)
      })
    )

    it.effect("says so when a position cannot be had, and goes on from now", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const { sql } = yield* Control
        const position = yield* reportAndStream(service, some(20))
        const [epoch] = position.split(".")
        const head = seqOf(position)
        yield* Effect.orDie(sql`delete from audit_events where seq <= 5`)
        const cases = [
          ["00000000.1", "unknown_epoch", "410 CURSOR_EXPIRED"],
          ["nonsense", "malformed", "400 CURSOR_INVALID"],
          [`${epoch}.${head + 1000}`, "malformed", "400 CURSOR_INVALID"],
          [`${epoch}.3`, "expired", "410 CURSOR_EXPIRED"]
        ] as const
        const earliest = yield* subscribe(service, "?last_event_id=earliest")
        yield* earliest.until(({ seqs }) => seqs.includes(head))
        // known within a second
        yield* eventually(
          sendTo(service, "/api/events/stream?last_event_id=earliest", { method: "HEAD", key: true }),
          (answer) => answer.headers["aitp-last-event-id"] === `${epoch}.5`
        )
        for (const [asked, reason, refusal] of cases) {
          const stream = yield* subscribe(service, "", headers(asked))
          yield* stream.until(({ resets }) => resets.length > 0, 3000)
          assert.deepEqual(stream.resets, [{ reason, position: `${epoch}.${head}` }])
          assert.deepEqual(stream.seqs, [])
          assert.strictEqual(stream.lastEventId, `${epoch}.${head}`)
          const path = `/api/events/stream?strict=1&last_event_id=${asked}`
          assert.strictEqual(outcomeOf(yield* sendTo(service, path, { key: true })), refusal)
        }
        const oldest = yield* subscribe(service, "?last_event_id=earliest")
        yield* oldest.until(({ seqs }) => seqs.length > 0)
        assert.strictEqual(oldest.seqs[0], 6)
      })
    )

    it.effect("gives a filtered reader its events, in either spelling, and says how far it is", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const run = randomUUID()
        const [snake, camel, aid, other, type] = yield* Effect.all([
          subscribe(service, `?run_id=${run}`),
          subscribe(service, `?runId=${run}`),
          subscribe(service, `?aid=aid-${run}`),
          subscribe(service, `?session_id=${run}`),
          subscribe(service, `?type=handshake.completed&run_id=${run}`)
        ])
        yield* report(service, [
          { type: "handshake.complete", runId: run, payload: {} },
          { type: "a", aidB: `aid-${run}`, payload: {} },
          ...some(300),
          { type: "b", runId: run, payload: {} }
        ])
        yield* report(service, some(400))
        const position = yield* report(service, some(400))
        yield* snake.until(({ events }) => events.length === 2)
        yield* camel.until(({ events }) => events.length === 2)
        yield* aid.until(({ events }) => events.length === 1)
        yield* type.until(({ events }) => events.length === 1)
        yield* other.until(({ lastEventId }) => lastEventId === position)
        assert.strictEqual(other.messages.at(-1)?.event, "checkpoint")
        assert.deepEqual(other.events, [])
      })
    )

    it.effect("takes no slot for HEAD", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const answer = yield* sendTo(service, "/api/events/stream", { method: "HEAD", key: true })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.headers["content-type"], "text/event-stream")
        assert.strictEqual(answer.text, "")
      })
    )

    it.effect("is pulled: pages after a position, a wait that ends with the event, refusals", () =>
      Effect.gen(function* () {
        const service = yield* Service
        const run = randomUUID()
        interface Pulled {
          readonly events: ReadonlyArray<{ readonly seq: number; readonly runId: string }>
          readonly next: string
          readonly epoch: string
          readonly headSeq: number
          readonly more: boolean
        }
        const pull = (query: string) =>
          Effect.map(sendTo(service, `/api/events?${query}`, { key: true }), (answer) =>
            answer.json<Pulled>()
          )
        const before = yield* pull("")
        assert.deepEqual(before.events, [])
        assert.strictEqual(before.next, `${before.epoch}.${before.headSeq}`)
        const head = seqOf(yield* report(service, some(5, { runId: run })))
        const first = yield* pull(`after=${before.next}&limit=3&wait=1`)
        assert.deepEqual(
          first.events.map(({ seq }) => seq),
          upTo(head - 4, head - 2)
        )
        assert.deepEqual([first.next, first.more], [`${before.epoch}.${head - 2}`, true])
        const rest = yield* pull(`after=${first.next}&run_id=${run}`)
        assert.deepEqual([rest.events.length, rest.more, rest.next], [2, false, `${before.epoch}.${head}`])
        const waiting = yield* Effect.forkChild(pull(`after=${rest.next}&wait=20&runId=${run}`))
        yield* report(service, some(3))
        yield* report(service, some(1, { runId: run }))
        const woken = yield* Fiber.join(waiting)
        assert.deepEqual(
          woken.events.map(({ runId }) => runId),
          [run]
        )
        assert.strictEqual(
          outcomeOf(yield* sendTo(service, "/api/events?after=x", { key: true })),
          "400 CURSOR_INVALID"
        )
        const foreign = yield* sendTo(service, "/api/events?after=00000000.1", { key: true })
        assert.strictEqual(outcomeOf(foreign), "410 CURSOR_EXPIRED")
        assert.strictEqual(
          outcomeOf(yield* sendTo(service, "/api/events?type=%00", { key: true })),
          "400 FILTER_INVALID"
        )
      })
    )
  }
)

layer(ownService({ MAX_SSE_CONNECTIONS: "1" }), { timeout: "60 seconds", excludeTestServices: true })(
  "the streams of a process",
  (it) => {
    it.effect("are limited, and a client that leaves makes room at once", () =>
      Effect.gen(function* () {
        const service = yield* Service
        for (let tries = 0; tries < 20; tries += 1) {
          const stream = yield* subscribe(service)
          assert.strictEqual(stream.status, 200)
          if (tries === 0) {
            const refused = yield* sendTo(service, "/api/events/stream", { key: true })
            assert.strictEqual(outcomeOf(refused), "503 SSE_CAPACITY")
            assert.strictEqual(refused.headers["retry-after"], "30")
            const head = yield* sendTo(service, "/api/events/stream", { key: true, method: "HEAD" })
            assert.strictEqual(head.status, 200)
          }
          stream.close()
        }
      })
    )
  }
)

layer(ownService({ SSE_MAX_AGE_SECS: "2", SSE_HEARTBEAT_MS: "1000" }), {
  timeout: "60 seconds",
  excludeTestServices: true
})("a stream with an age limit", (it) => {
  it.effect("ends without a word, after heartbeats, and can be continued", () =>
    Effect.gen(function* () {
      const service = yield* Service
      const position = yield* reportAndStream(service, some(3))
      const stream = yield* subscribe(service)
      yield* stream.until(({ closed }) => closed, 5000)
      assert.deepEqual(stream.resets, [])
      assert.strictEqual(stream.lastEventId, position)
      yield* report(service, some(1))
      const next = yield* subscribe(service, "", headers(stream.lastEventId))
      yield* next.until(({ seqs, text }) => seqs.length === 1 && text.includes(": heartbeat\n\n"), 5000)
      assert.deepEqual(next.seqs, [seqOf(position) + 1])
    })
  )
})
