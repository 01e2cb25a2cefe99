import { connect, type Socket } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { outcomeOf, send } from "../support/service/client.ts"
import { API_KEY, isRemote, ownService, Service } from "../support/service/Service.ts"

const SLOTS = 16

interface Reader {
  readonly text: () => string
  readonly socket: Socket
}

/** A client of the event stream that never reads on. */
const open: Effect.Effect<Reader, never, Scope.Scope | Service> = Effect.flatMap(Service, ({ url }) =>
  Effect.acquireRelease(
    Effect.sync((): Reader => {
      const { hostname, port } = new URL(url)
      let text = ""
      const socket = connect(Number(port), hostname, () =>
        socket.write(`GET /api/events/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`)
      )
      socket.on("data", (chunk) => (text += chunk.toString("latin1"))).on("error", () => {})
      return { socket, text: () => text }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
)

const answered = (readers: ReadonlyArray<Reader>) =>
  eventually(
    Effect.sync(() => readers.every(({ text }) => text().startsWith("HTTP/1.1 "))),
    (all) => all
  )

/** Ways to leave: without a word, in good order, and after asking for more than one stream at once. */
const leave: Readonly<Record<string, (socket: Socket) => void>> = {
  "by a reset": (socket) => socket.resetAndDestroy(),
  "by closing": (socket) => socket.end(),
  "while it sends the next request": (socket) => {
    socket.write("GET /api/events/stream HTTP/1.1\r\nHost: a\r\n")
    socket.destroy()
  }
}

describe.skipIf(isRemote)("the places of event streams", () => {
  layer(ownService({ MAX_SSE_CONNECTIONS: String(SLOTS) }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    for (const [how, go] of Object.entries(leave)) {
      it.effect(`are never more than configured, and all free again when their clients leave ${how}`, () =>
        Effect.gen(function* () {
          for (let round = 0; round < 3; round += 1) {
            const readers = yield* Effect.all(Array.from({ length: 2 * SLOTS }, () => open))
            yield* answered(readers)
            const served = readers.filter(({ text }) => text().startsWith("HTTP/1.1 200 "))
            assert.strictEqual(served.length, SLOTS)
            for (const { text } of readers)
              if (!text().startsWith("HTTP/1.1 200 "))
                assert.match(text(), /^HTTP\/1\.1 503 [\s\S]*SSE_CAPACITY/)
            // other routes have places of their own
            assert.strictEqual((yield* send("/api/livez")).status, 200)
            assert.strictEqual(outcomeOf(yield* send("/api/events/stream")), "401 INVALID_API_KEY")
            for (const { socket } of readers) go(socket)
            yield* eventually(
              send("/api/metrics"),
              ({ text }) =>
                /^(?:\w*sse\w*connections\w*|\w*stream\w*(?:open|connections)\w*)(?:\{[^}]*\})? 0$/m.test(
                  text
                ),
              5000
            )
          }
        })
      )
    }

    it.effect("cannot be had twice by one connection", () =>
      Effect.gen(function* () {
        const first = yield* open
        yield* answered([first])
        // a second request waits behind an answer that does not end
        first.socket.write(
          `GET /api/events/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`.repeat(
            SLOTS
          )
        )
        const others = yield* Effect.all(Array.from({ length: SLOTS - 1 }, () => open))
        yield* answered(others)
        assert.isTrue(others.every(({ text }) => text().startsWith("HTTP/1.1 200 ")))
      })
    )
  })
})
