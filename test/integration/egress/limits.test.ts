import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { Egress } from "../../../src/egress/Egress.ts"
import { RequestFailed } from "../../../src/egress/model.ts"
import { eventually } from "../../support/db/eventually.ts"
import { egressWith } from "../../support/egress/names.ts"
import { ok, Receiver, saying } from "../../support/egress/Receiver.ts"
import { connectionFree, send } from "../../support/egress/requests.ts"

const at = (receiver: Receiver) => `http://127.0.0.1:${receiver.port}/hook?x=1`

const failure = (...args: Parameters<typeof send>) =>
  Effect.map(Effect.flip(send(...args)), (error) => {
    assert.instanceOf(error, RequestFailed)
    const { phase, reason, status } = error
    return { phase, reason, status }
  })

const allClosed = (receiver: Receiver) =>
  eventually(
    Effect.sync(() => receiver.connections - receiver.closed),
    (open) => open === 0
  )

/** Writes without end, as fast as the reader takes it. */
const pour = (socket: Socket, chunk: Uint8Array): void => {
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on("drain", more)
  more()
}

/** Writes a byte now and then, without end. */
const trickle = (socket: Socket): void => {
  const timer = setInterval(() => socket.write("x"), 20)
  socket.on("close", () => clearInterval(timer))
}

const MIB = 1024 * 1024

describe("an exchange", () => {
  it.live("sends the request as given and gives the answer as it came", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(
        saying(ok("pong", "X-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))
      )
      const answer = yield* send(at(receiver), { headers: { "x-aitp-event": "tct.revoked" } })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(String(answer.body), "pong")
      assert.isFalse(answer.truncated)
      assert.isTrue(Number.isInteger(answer.durationMs))
      assert.strictEqual(answer.headers.get("x-one"), "1")
      assert.strictEqual(answer.headers.get("set-cookie"), "a=1, b=2")
      yield* connectionFree
      yield* send(at(receiver), { method: "GET", headers: {}, body: "" })
      const [post = "", get = ""] = receiver.received.split(/(?=GET )/)
      assert.match(post, /^POST \/hook\?x=1 HTTP\/1\.1\r\n/)
      assert.match(post, new RegExp(`\r\nhost: 127.0.0.1:${receiver.port}\r\n`))
      assert.match(post, /\r\nx-aitp-event: tct\.revoked\r\n/)
      assert.match(post, /\r\naccept-encoding: identity\r\n/)
      assert.match(post, /\r\ncontent-length: 5\r\n\r\nhello$/)
      assert.notMatch(get, /cookie|content-length/i)
      assert.strictEqual(receiver.connections, 1)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("passes over interim answers", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(
        saying(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok()}`)
      )
      const { status, headers } = yield* send(at(receiver))
      assert.deepEqual([status, headers.has("link")], [200, false])
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("decompresses nothing", () =>
    Effect.gen(function* () {
      const bomb = gzipSync(Buffer.alloc(10 * MIB)).toString("latin1")
      const receiver = yield* Receiver.make((socket) =>
        socket.write(ok(bomb, "content-encoding: gzip\r\n"), "latin1")
      )
      const { body, headers } = yield* send(at(receiver), { maxResponseBytes: MIB })
      assert.strictEqual(headers.get("content-encoding"), "gzip")
      assert.strictEqual(body.length, bomb.length)
    }).pipe(Effect.provide(egressWith({})))
  )

  for (const [size, truncated] of [
    [0, false],
    [4095, false],
    [4096, false],
    [4097, true],
    [10 * MIB, true]
  ] as const)
    it.live(`keeps at most the first 4096 bytes of ${size}`, () =>
      Effect.gen(function* () {
        const receiver = yield* Receiver.make(saying(ok("x".repeat(size))))
        const answer = yield* send(at(receiver))
        assert.deepEqual([answer.body.length, answer.truncated], [Math.min(size, 4096), truncated])
        if (truncated) yield* allClosed(receiver)
        assert.strictEqual(receiver.closed, truncated ? 1 : 0)
      }).pipe(Effect.provide(egressWith({})))
    )

  it.live("reads an endless body to the cap, then closes the connection", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        pour(socket, Buffer.alloc(65_536, "x"))
      })
      const { body, truncated } = yield* send(at(receiver), { maxResponseBytes: 100_000 })
      assert.deepEqual([body.length, truncated], [100_000, true])
      yield* allClosed(receiver)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("fails when no header comes in time, and closes the connection", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(() => {})
      assert.deepEqual(yield* failure(at(receiver), { headersTimeoutMs: 150 }), {
        phase: "headers",
        reason: "no answer in time",
        status: undefined
      })
      yield* allClosed(receiver)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("counts an interim answer as none", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"))
      const limits = { headersTimeoutMs: 150, bodyTimeoutMs: 1 }
      const { phase, reason } = yield* failure(at(receiver), limits)
      assert.deepEqual([phase, reason], ["headers", "no answer in time"])
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("fails when the headers never end", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make((socket) => {
        socket.write("HTTP/1.1 200 OK\r\nx-")
        trickle(socket)
      })
      const { phase, reason } = yield* failure(at(receiver), { headersTimeoutMs: 150 })
      assert.deepEqual([phase, reason], ["headers", "no answer in time"])
      yield* allClosed(receiver)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("fails when the body does not end in time however much comes, and tells the status", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make((socket) => {
        socket.write("HTTP/1.1 202 Accepted\r\ncontent-length: 4000\r\n\r\n")
        trickle(socket)
      })
      assert.deepEqual(yield* failure(at(receiver), { bodyTimeoutMs: 150 }), {
        phase: "body",
        reason: "the body did not end in time",
        status: 202
      })
      yield* allClosed(receiver)
    }).pipe(Effect.provide(egressWith({})))
  )

  const broken: ReadonlyArray<readonly [title: string, answer: string, phase: string, reason: string]> = [
    ["garbage", "hello there\r\n\r\n", "headers", "the answer is not HTTP"],
    ["another protocol", "SSH-2.0-OpenSSH_9.6\r\n", "headers", "the answer is not HTTP"],
    [
      "a doubled content-length",
      "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
      "headers",
      "the answer does not have the length it says"
    ],
    [
      "an upgrade",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
      "headers",
      "connection closed before the answer was complete"
    ],
    [
      "headers without measure",
      `HTTP/1.1 200 OK\r\nx: ${"y".repeat(40_000)}\r\n\r\n`,
      "headers",
      "the headers of the answer are too large"
    ],
    [
      "a broken chunk",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
      "body",
      "the answer is not HTTP"
    ]
  ]
  for (const [title, text, phase, reason] of broken)
    it.live(`fails at ${title}`, () =>
      Effect.gen(function* () {
        const receiver = yield* Receiver.make(saying(text))
        const failed = yield* failure(at(receiver))
        assert.deepEqual([failed.phase, failed.reason], [phase, reason])
        yield* allClosed(receiver)
      }).pipe(Effect.provide(egressWith({})))
    )

  const ended: ReadonlyArray<readonly [title: string, begin: string, reset: boolean, phase: string]> = [
    ["closed before it answers", "", false, "headers"],
    ["reset before it answers", "", true, "headers"],
    ["closed within the headers", "HTTP/1.1 200 OK\r\nx", false, "headers"],
    ["closed within the body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", false, "body"]
  ]
  for (const [title, begin, reset, phase] of ended)
    it.live(`fails when the connection is ${title}`, () =>
      Effect.gen(function* () {
        const receiver = yield* Receiver.make((socket) => {
          socket.write(begin, () => (reset ? socket.resetAndDestroy() : socket.destroy()))
        })
        const failed = yield* failure(at(receiver))
        assert.strictEqual(failed.phase, phase)
        assert.match(failed.reason, /^connection (reset|closed before the answer was complete)$/)
        assert.strictEqual(failed.status, phase === "body" ? 200 : undefined)
        assert.strictEqual(receiver.connections, 1)
      }).pipe(Effect.provide(egressWith({})))
    )

  it.live("fails when the connection is refused", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(Receiver.make(() => {}))
      assert.deepEqual(yield* failure(`http://127.0.0.1:${port}/`), {
        phase: "connect",
        reason: "connection refused",
        status: undefined
      })
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("fails, and is not refused, while the name does not resolve", () =>
    Effect.gen(function* () {
      const { phase, reason } = yield* failure("http://unknown.test:8080/")
      assert.deepEqual([phase, reason], ["resolve", "the host does not resolve"])
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("fails at headers that are none, before anything is sent", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const { reason } = yield* failure(at(receiver), { headers: { x: "a\r\nb: c" } })
      assert.strictEqual(reason, "the request has an invalid header")
      assert.strictEqual(receiver.received, "")
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("closes its connection when it is interrupted", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(() => {})
      const fiber = yield* Effect.forkChild(send(at(receiver)))
      yield* eventually(
        Effect.sync(() => receiver.received),
        (received) => received.endsWith("hello")
      )
      yield* Fiber.interrupt(fiber)
      yield* allClosed(receiver)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("ends, and closes its connection, with the client", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(() => {})
      const outcome = yield* Effect.scoped(
        Effect.gen(function* () {
          const egress = yield* Egress
          const fiber = yield* Effect.forkChild(
            failure(at(receiver)).pipe(Effect.provideService(Egress, egress))
          )
          yield* eventually(
            Effect.sync(() => receiver.received),
            (received) => received.endsWith("hello")
          )
          return fiber
        }).pipe(Effect.provide(egressWith({})))
      )
      const { reason } = yield* Fiber.join(outcome)
      assert.strictEqual(reason, "the service is stopping")
      yield* allClosed(receiver)
    })
  )

  it.live("shares a bounded number of connections among many", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const answers = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, i) => i),
        () => send(at(receiver)),
        { concurrency: 300 }
      )
      assert.lengthOf(
        answers.filter(({ status }) => status === 200),
        300
      )
      assert.isAtMost(receiver.connections, 256)
    }).pipe(Effect.provide(egressWith({})))
  )
})
