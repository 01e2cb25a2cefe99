import { once } from "node:events"
import { connect, type AddressInfo } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Listener from "../../../src/http/Listener.ts"
import { testApp } from "../../support/http/TestApp.ts"
import { raw } from "../../support/http/request.ts"

const requestFor = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`

const answerAt = (path: string) => answerTo(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)

/** Status and body of the first answer on a connection. */
const answerTo = (text: string) =>
  Effect.map(raw(text), (received) => {
    const [head = "", body = ""] = received.split("\r\n\r\n", 2)
    return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), body }
  })

layer(testApp(), { excludeTestServices: true })("on the wire", (it) => {
  const malformed: Record<string, string> = {
    "no HTTP at all": "hello\r\n\r\n",
    "a control character in the path": "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in a header name": "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
    "both lengths":
      "POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": "POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n1",
    "an unknown method": "BREW /api/livez HTTP/1.1\r\nHost: x\r\n\r\n"
  }
  for (const [name, text] of Object.entries(malformed)) {
    it.effect(`${name} is 400 with the envelope, and the end of the connection`, () =>
      Effect.gen(function* () {
        const { body, head, status } = yield* answerTo(text)
        assert.strictEqual(status, 400)
        assert.deepStrictEqual(JSON.parse(body), { error: "request is not valid HTTP", code: "BAD_REQUEST" })
        assert.include(head, "connection: close")
        assert.match(head, /x-request-id: cp-/)
      })
    )
  }

  it.effect("headers over 16 KiB are 431 with the envelope", () =>
    Effect.gen(function* () {
      const { body, status } = yield* answerTo(
        `GET /api/livez HTTP/1.1\r\nHost: x\r\nX-Large: ${"x".repeat(20_000)}\r\n\r\n`
      )
      assert.strictEqual(status, 431)
      assert.include(body, '"code":"BAD_REQUEST"')
    })
  )

  it.effect("a missing host is 400 with the envelope", () =>
    Effect.gen(function* () {
      const { body, status } = yield* answerTo("GET /api/livez HTTP/1.1\r\nConnection: close\r\n\r\n")
      assert.strictEqual(status, 400)
      assert.include(body, '"code":"BAD_REQUEST"')
    })
  )

  it.effect("an offer to upgrade is answered as it is", () =>
    Effect.gen(function* () {
      for (const protocol of ["websocket", "h2c"]) {
        const { status } = yield* answerTo(
          `GET /api/livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\n\r\n`
        )
        assert.strictEqual(status, 200)
      }
    })
  )

  it.effect("HTTP/1.0 is answered and closed", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* answerTo("GET /api/livez HTTP/1.0\r\n\r\n")).status, 200)
    })
  )

  it.effect("bytes beyond ASCII in a path are 400, escaped they are text", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* answerAt("/api/items/\xe9")).status, 400)
      assert.strictEqual((yield* answerAt("/api/items/%C3%A9")).status, 200)
    })
  )

  it.effect("requests sent one after the other without waiting are answered in order", () =>
    Effect.gen(function* () {
      const received = yield* raw(
        requestFor("/api/items/1") + requestFor("/nope") + requestFor("/api/items/2", "Connection: close\r\n")
      )
      assert.match(received, /"aid":"1"[\s\S]*NOT_FOUND[\s\S]*"aid":"2"/)
    })
  )

  it.effect("a client that leaves in mid-body harms nobody", () =>
    Effect.gen(function* () {
      yield* Effect.timeoutOption(
        raw("POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"),
        "50 millis"
      )
      assert.strictEqual((yield* answerTo("GET /api/livez HTTP/1.0\r\n\r\n")).status, 200)
    })
  )
})

describe("a request that does not end", () => {
  it("is 408 with the envelope, in its head and in its body", async () => {
    const server = Listener.make({
      headersTimeout: 100,
      requestTimeout: 100,
      connectionsCheckingInterval: 20
    }).listen(0)
    await once(server, "listening")
    const { port } = server.address() as AddressInfo // listens on TCP
    for (const part of [
      "GET / HTTP/1.1\r\nHos",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
    ]) {
      const socket = connect(port, "127.0.0.1")
      let received = ""
      socket.on("data", (chunk) => (received += chunk.toString()))
      socket.write(part)
      await once(socket, "close")
      assert.match(received, /^HTTP\/1\.1 408 Request Timeout\r\n/)
      assert.include(received, '"code":"BAD_REQUEST"')
    }
    server.close()
  })
})
