import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { startOn } from "../support/service/Service.ts"
import { metric, report, seqOf } from "../support/stream/report.ts"
import { subscribe } from "../support/stream/subscriber.ts"

it.live(
  "a client that takes nothing for a while falls back on the ledger and loses nothing",
  () =>
    Effect.gen(function* () {
      const service = yield* startOn(yield* freshDatabase)
      const slow = yield* subscribe(service)
      const quick = yield* subscribe(service)
      yield* slow.until(({ text }) => text !== "")
      slow.pause()
      // far beyond what the two sockets and the service hold for one client
      const payload = { filler: "x".repeat(60_000) }
      let head = 0
      for (let sent = 0; sent < 120; sent += 1)
        head = seqOf(
          yield* report(
            service,
            Array.from({ length: 4 }, () => ({ type: "large", payload }))
          )
        )
      yield* quick.until(({ lastEventId }) => Number(lastEventId.split(".")[1]) === head)
      assert.isAbove(yield* metric(service, "event_backlog_dropped"), 0)
      slow.resume()
      yield* slow.until(({ lastEventId }) => Number(lastEventId.split(".")[1]) === head, 60_000)
      assert.deepEqual(
        slow.seqs,
        Array.from({ length: head }, (_, index) => index + 1)
      )
      assert.deepEqual(slow.resets, [])
      yield* report(service, [{ type: "live again" }])
      yield* slow.until(({ lastEventId }) => Number(lastEventId.split(".")[1]) === head + 1)
    }),
  110_000
)

it.live(
  "a client that never takes anything again is cut, and its slot is free",
  () =>
    Effect.gen(function* () {
      const service = yield* startOn(yield* freshDatabase)
      const dead = yield* subscribe(service)
      dead.pause()
      const payload = { filler: "x".repeat(60_000) }
      for (let sent = 0; sent < 120; sent += 1)
        yield* report(
          service,
          Array.from({ length: 4 }, () => ({ type: "large", payload }))
        )
      assert.strictEqual(yield* metric(service, "sse_streams_open"), 1)
      // 30 s without a byte, noticed within twice that, and the farewell
      yield* eventually(metric(service, "sse_streams_open"), (open) => open === 0, 70_000)
      assert.strictEqual(yield* metric(service, 'sse_resets_total{reason="slow_consumer"}'), 1)
    }),
  110_000
)
