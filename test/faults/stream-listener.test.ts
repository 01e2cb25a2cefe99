import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { startOn } from "../support/service/Service.ts"
import { Proxy } from "../support/stream/Proxy.ts"
import { metric, report } from "../support/stream/report.ts"
import { subscribe } from "../support/stream/subscriber.ts"

it.live(
  "a listening connection that went half-open is noticed within 15 s, and streams go on meanwhile",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const proxy = yield* Proxy.make(new URL(databaseUrl))
      const through = new URL(databaseUrl)
      through.hostname = "127.0.0.1"
      through.port = String(proxy.port)
      const replica = yield* startOn(databaseUrl, { DATABASE_LISTEN_URL: through.href })
      const writer = yield* startOn(databaseUrl)
      const up = metric(replica, "listener_up")
      yield* eventually(up, (value) => value === 1)
      const stream = yield* subscribe(replica)

      proxy.silent = true
      const begun = performance.now()
      let sent = 0
      yield* eventually(
        Effect.gen(function* () {
          yield* report(writer, [{ type: "meanwhile", payload: {} }])
          sent += 1
          yield* stream.until(({ seqs }) => seqs.length === sent, 2500)
          return yield* up
        }),
        (value) => value === 0
      )
      // one more look at the events than the limit itself
      assert.isBelow(performance.now() - begun, 15_000 + 2500)

      proxy.silent = false
      yield* eventually(up, (value) => value === 1)
      yield* report(writer, [{ type: "after", payload: {} }])
      yield* stream.until(({ seqs }) => seqs.length === sent + 1)
    }),
  90_000
)
