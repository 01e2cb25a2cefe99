import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { freshDatabase } from "../support/db/TestDb.ts"
import { startOn } from "../support/service/Service.ts"
import { report } from "../support/stream/report.ts"
import { subscribe } from "../support/stream/subscriber.ts"

const RETRY = /retry: (\d+)\nid: \S+\nevent: reset/

it.live(
  "streams are told to come back later, one after the other, when the service stops",
  () =>
    Effect.gen(function* () {
      const service = yield* startOn(yield* freshDatabase, { SHUTDOWN_DRAIN_MS: "4000" })
      const position = yield* report(service, [{ type: "a" }])
      const streams = yield* Effect.all(
        Array.from({ length: 20 }, () => subscribe(service, "?last_event_id=earliest")),
        { concurrency: 20 }
      )
      for (const stream of streams) yield* stream.until(({ seqs }) => seqs.length === 1)
      const closedAt: Array<number> = []
      const watch = Effect.forEach(
        streams,
        (stream) =>
          Effect.map(
            stream.until(({ closed }) => closed),
            () => void closedAt.push(performance.now())
          ),
        { concurrency: 20, discard: true }
      )
      const [ended] = yield* Effect.all([service.service.stop, watch], { concurrency: 2 })
      assert.deepEqual(ended, { code: 0, signal: null })
      const retries = streams.map(({ text }) => Number(RETRY.exec(text)?.[1]))
      for (const stream of streams) assert.deepEqual(stream.resets, [{ reason: "shutdown", position }])
      for (const retry of retries) assert.isTrue(retry >= 500 && retry <= 5000)
      assert.isAbove(new Set(retries).size, 1)
      assert.isAbove(Math.max(...closedAt) - Math.min(...closedAt), 500)
    }),
  60_000
)
