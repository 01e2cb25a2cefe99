import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { raw, send } from "../support/service/client.ts"
import { eventsOfRun } from "../support/service/events.ts"
import { API_KEY, isRemote, ownService, Service } from "../support/service/Service.ts"

const head = (headers: ReadonlyArray<string>, body: string) =>
  ["POST /api/events HTTP/1.1", "Host: a", `Authorization: Bearer ${API_KEY}`, ...headers, "", body].join(
    "\r\n"
  )

/** A whole request that hides in the body of another one; it must never be run. */
const hidden = (run: string) => {
  const body = JSON.stringify([{ type: "smuggled", runId: run }])
  return [
    "POST /api/events HTTP/1.1",
    "Host: a",
    `Authorization: Bearer ${API_KEY}`,
    `Content-Length: ${body.length}`,
    "Connection: close",
    "",
    body
  ].join("\r\n")
}

/** Requests of which a proxy in front might see other ends than this service; each is refused, and the rest not read. */
const ambiguous = (run: string): Readonly<Record<string, string>> => {
  const inner = hidden(run)
  const chunkedAfter = (...headers: ReadonlyArray<string>) => head(headers, `0\r\n\r\n${inner}`)
  return {
    "length and chunks": chunkedAfter("Content-Length: 6", "Transfer-Encoding: chunked"),
    "chunks and length": chunkedAfter("Transfer-Encoding: chunked", "Content-Length: 6"),
    "two lengths": head(["Content-Length: 0", `Content-Length: ${inner.length}`], inner),
    "the same length twice": head(["Content-Length: 2", "Content-Length: 2"], `[]${inner}`),
    "a list of lengths": head(["Content-Length: 2, 2"], `[]${inner}`),
    "a signed length": head(["Content-Length: +2"], `[]${inner}`),
    "a hexadecimal length": head(["Content-Length: 0x2"], `[]${inner}`),
    "a length beyond 64 bits": head(["Content-Length: 18446744073709551618"], `[]${inner}`),
    "a space before the colon": chunkedAfter("Transfer-Encoding : chunked"),
    "an unknown coding": chunkedAfter("Transfer-Encoding: xchunked"),
    "a coding behind chunked": chunkedAfter("Transfer-Encoding: chunked, identity"),
    "chunked twice": chunkedAfter("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "a vertical tab before chunked": chunkedAfter("Transfer-Encoding: \x0bchunked"),
    "chunked in quotes": chunkedAfter('Transfer-Encoding: "chunked"'),
    "a folded header": chunkedAfter("Transfer-Encoding:\r\n chunked"),
    "a header that begins with a space": chunkedAfter(" Transfer-Encoding: chunked"),
    "a bare line feed": head(["X: a\nTransfer-Encoding: chunked"], `0\r\n\r\n${inner}`),
    "a bare carriage return": head(["X: a\rTransfer-Encoding: chunked"], `0\r\n\r\n${inner}`),
    "NUL in a header": head(["X: a\0b", "Content-Length: 2"], `[]${inner}`),
    "a chunk size beyond 64 bits": head(
      ["Transfer-Encoding: chunked"],
      `10000000000000002\r\n[]\r\n0\r\n\r\n${inner}`
    ),
    "a negative chunk size": head(["Transfer-Encoding: chunked"], `-2\r\n[]\r\n0\r\n\r\n${inner}`),
    "a chunk size with a prefix": head(["Transfer-Encoding: chunked"], `0x2\r\n[]\r\n0\r\n\r\n${inner}`),
    "a chunk longer than its size": head(["Transfer-Encoding: chunked"], `2\r\n[] \r\n0\r\n\r\n${inner}`),
    "a chunk that ends with a line feed": head(["Transfer-Encoding: chunked"], `2\r\n[]\n0\r\n\r\n${inner}`),
    "a chunk size that ends with a line feed": head(
      ["Transfer-Encoding: chunked"],
      `2\n[]\r\n0\r\n\r\n${inner}`
    ),
    "an endless chunk extension": head(
      ["Transfer-Encoding: chunked"],
      `2;${"x".repeat(20_000)}\r\n[]\r\n0\r\n\r\n${inner}`
    )
  }
}

describe.skipIf(isRemote)("request smuggling", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("is refused in every form: one answer of 4xx, the end of the connection, and nothing run", () =>
      Effect.gen(function* () {
        const run = unique("smuggled")
        for (const [name, text] of Object.entries(ambiguous(run))) {
          const received = yield* raw(Buffer.from(text, "latin1"))
          const statuses = [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
          assert.strictEqual(statuses.length, 1, `${name}: ${received}`)
          assert.isTrue(
            statuses.every((status) => status >= 400 && status < 500),
            `${name}: ${received}`
          )
          assert.deepEqual(yield* eventsOfRun(run), [], name)
        }
        // what was hidden is a request that would have been run
        assert.match(yield* raw(hidden(run)), /^HTTP\/1\.1 200 /)
        assert.strictEqual((yield* eventsOfRun(run)).length, 1)
      })
    )

    it.effect("by a body that is not read does not make a request of it", () =>
      Effect.gen(function* () {
        const run = unique("unread")
        const inner = hidden(run)
        for (const first of [
          "GET /api/livez",
          "DELETE /api/webhooks/x",
          "POST /api/nothing",
          "OPTIONS /api/events"
        ]) {
          const received = yield* raw(
            `${first} HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n${inner}` +
              "GET /api/livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: last\r\nConnection: close\r\n\r\n"
          )
          const answers = received.split(/(?=HTTP\/1\.1 \d{3} )/)
          assert.isAtMost(answers.length, 2, first)
          assert.deepEqual(yield* eventsOfRun(run), [], first)
        }
      })
    )

    it.effect("by the trailer of a chunked body changes nothing about the request", () =>
      Effect.gen(function* () {
        const received = yield* raw(
          "POST /api/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\nConnection: close\r\n\r\n" +
            `2\r\n[]\r\n0\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`
        )
        assert.match(received, /^HTTP\/1\.1 401 /)
      })
    )

    it.effect("by headers that repeat or name others has the effect of none", () =>
      Effect.gen(function* () {
        const { apiKey } = yield* Service
        // the first one counts, so that a proxy and this service see the same credential
        const twice = yield* raw(
          `GET /api/events/history HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nAuthorization: Bearer ${apiKey}\r\nConnection: close\r\n\r\n`
        )
        assert.match(twice, /^HTTP\/1\.1 401 /)
        // a header that names itself as hop by hop is not taken away here
        const hop = yield* raw(
          `GET /api/events/history HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${apiKey}\r\nConnection: close, Authorization\r\n\r\n`
        )
        assert.match(hop, /^HTTP\/1\.1 200 /)
        for (const header of [
          "x-http-method-override",
          "x-method-override",
          "x-original-url",
          "x-rewrite-url",
          "x-forwarded-prefix"
        ]) {
          const answer = yield* send("/api/livez", { headers: { [header]: "/api/events/history" } })
          assert.strictEqual(answer.status, 200, header)
          assert.notProperty(answer.json(), "events", header)
        }
      })
    )

    it.effect("by many or long headers is refused or ignored, and the next request served", () =>
      Effect.gen(function* () {
        for (const headers of [
          "a:\r\n".repeat(4000),
          "A: b\r\n".repeat(2500),
          `X: ${"y".repeat(16_400)}\r\n`
        ]) {
          const received = yield* raw(
            `GET /api/livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}\r\n`
          )
          assert.match(received, /^HTTP\/1\.1 (?:200|431) /)
        }
        assert.strictEqual((yield* send("/api/livez")).status, 200)
      })
    )
  })
})
