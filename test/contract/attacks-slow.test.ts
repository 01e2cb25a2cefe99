import { connect, type Socket } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { send } from "../support/service/client.ts"
import { ingest } from "../support/service/events.ts"
import { API_KEY, isRemote, ownService, Service } from "../support/service/Service.ts"

interface Dripping {
  readonly received: string
  readonly closed: boolean
}

/** A client that sends a beginning, then a character every 200 ms, for as long as it may. */
const drip = (beginning: string, piece: string): Effect.Effect<Dripping, never, Scope.Scope | Service> =>
  Effect.flatMap(Service, ({ url }) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const { hostname, port } = new URL(url)
          const state = { received: "", closed: false }
          const socket: Socket = connect(Number(port), hostname, () => socket.write(beginning))
          const timer = setInterval(() => socket.write(piece), 200)
          socket.on("data", (chunk) => (state.received += chunk.toString("latin1")))
          socket.on("error", () => {})
          socket.on("close", () => {
            state.closed = true
            clearInterval(timer)
          })
          return { state, socket }
        }),
        ({ socket }) => Effect.sync(() => socket.destroy())
      ),
      ({ state }) => state
    )
  )

const CLIENTS = 200

describe.skipIf(isRemote)("clients that take their time", () => {
  layer(ownService(), { timeout: "90 seconds", excludeTestServices: true })((it) => {
    it.effect(
      "are sent away however steadily they send, and hold up nobody meanwhile",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const startedAt = performance.now()
            const slow = yield* Effect.all(
              Array.from({ length: CLIENTS }, (_, n) =>
                n % 2 === 0 ? drip("GET /api/livez HTTP/1.1\r\nHost: a\r\nX-Slow: ", "x") : drip("GET /", "x")
              )
            )
            const body = yield* drip(
              `POST /api/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${API_KEY}\r\nContent-Length: 100000\r\n\r\n[`,
              " "
            )
            for (let n = 0; n < 20; n += 1) {
              const before = performance.now()
              assert.strictEqual((yield* send("/api/livez")).status, 200)
              yield* ingest([{ type: "meanwhile" }])
              assert.isBelow(performance.now() - before, 3000)
            }
            yield* eventually(
              Effect.sync(() => slow.every(({ closed }) => closed)),
              (all) => all,
              20_000
            )
            assert.isAtLeast(performance.now() - startedAt, 1000)
            for (const { received } of slow) assert.match(received, /^(?:HTTP\/1\.1 4(?:08|00) |$)/)
            assert.isTrue(slow.some(({ received }) => received.startsWith("HTTP/1.1 408 ")))
            // a body has thirty seconds, and is then cut off as well
            yield* eventually(
              Effect.sync(() => body.closed),
              (closed) => closed,
              40_000
            )
            assert.notMatch(body.received, /^HTTP\/1\.1 200 /)
            assert.strictEqual((yield* send("/api/livez")).status, 200)
          })
        ),
      90_000
    )
  })
})
