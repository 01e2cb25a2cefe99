import { connect, createServer, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../../support/db/eventually.ts"
import { FaultProxy } from "../../support/faults/FaultProxy.ts"

/** A server that says everything back. */
const echo = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {}).pipe(socket)
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const close = () => {
        for (const socket of sockets) socket.destroy()
        server.close()
      }
      resume(
        Effect.succeed({ port: typeof address === "object" && address !== null ? address.port : 0, close })
      )
    })
  }),
  ({ close }) => Effect.sync(close)
)

const client = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(port, "127.0.0.1")
      const seen = {
        text: "",
        ended: "",
        say: (text: string) => void socket.write(text),
        close: () => void socket.destroy()
      }
      socket.on("data", (chunk) => (seen.text += chunk.toString()))
      socket.on("error", (error) => (seen.ended = error.message))
      socket.on("close", () => (seen.ended ||= "closed"))
      return seen
    }),
    ({ close }) => Effect.sync(close)
  )

const proxied = Effect.gen(function* () {
  const proxy = yield* FaultProxy.make({ host: "127.0.0.1", port: (yield* echo).port })
  const seen = yield* client(proxy.port)
  seen.say("a")
  yield* eventually(
    Effect.sync(() => seen.text),
    (text) => text === "a"
  )
  return { proxy, seen }
})

const text = (seen: { readonly text: string }) => Effect.sync(() => seen.text)

describe("a link that fails", () => {
  it.live("delivers late and in order what was sent while it was stalled", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { proxy, seen } = yield* proxied
        proxy.become("stall")
        for (const letter of "bcd") seen.say(letter)
        const other = yield* client(proxy.port)
        other.say("x")
        yield* Effect.sleep(100)
        assert.strictEqual(seen.text, "a")
        proxy.become("pass")
        yield* eventually(text(seen), (found) => found === "abcd")
        yield* eventually(text(other), (found) => found === "x")
      })
    )
  )

  it.live("delivers in order while it is slow, and when it ceases to be", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { proxy, seen } = yield* proxied
        proxy.become("slow", 60)
        seen.say("b")
        yield* Effect.sleep(30)
        seen.say("c")
        assert.strictEqual(seen.text, "a")
        proxy.become("pass")
        seen.say("d")
        yield* eventually(text(seen), (found) => found === "abcd")
      })
    )
  )

  it.live("tells nobody while it is half-open, and resets what it has swallowed of", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { proxy, seen } = yield* proxied
        proxy.become("halfOpen")
        seen.say("b")
        yield* Effect.sleep(100)
        assert.deepInclude(seen, { text: "a", ended: "" })
        proxy.become("pass")
        yield* eventually(
          Effect.sync(() => seen.ended),
          (ended) => ended.includes("ECONNRESET")
        )
        const other = yield* client(proxy.port)
        other.say("x")
        yield* eventually(text(other), (found) => found === "x")
      })
    )
  )

  it.live("resets what there is, and refuses what comes while it is cut", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { proxy, seen } = yield* proxied
        proxy.become("cut")
        yield* eventually(
          Effect.sync(() => seen.ended),
          (ended) => ended.includes("ECONNRESET")
        )
        const other = yield* client(proxy.port)
        yield* eventually(
          Effect.sync(() => other.ended),
          (ended) => ended !== ""
        )
        proxy.become("pass")
        const third = yield* client(proxy.port)
        third.say("x")
        yield* eventually(text(third), (found) => found === "x")
        proxy.reset()
        yield* eventually(
          Effect.sync(() => third.ended),
          (ended) => ended.includes("ECONNRESET")
        )
      })
    )
  )
})
