import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { negotiate } from "../../../src/http/Compression.ts"
import { testApp } from "../../support/http/TestApp.ts"
import { send } from "../../support/http/request.ts"

const accepting = (coding: string) => ({ headers: { "accept-encoding": coding } })

layer(testApp(), { excludeTestServices: true })("an answer", (it) => {
  it.effect("of 1 KiB or more is compressed as the client takes it", () =>
    Effect.gen(function* () {
      const plain = yield* send("/api/large")
      const gzip = yield* send("/api/large", accepting("gzip"))
      const brotli = yield* send("/api/large", accepting("gzip, br"))
      assert.isUndefined(plain.headers["content-encoding"])
      assert.strictEqual(gzip.headers["content-encoding"], "gzip")
      assert.strictEqual(gunzipSync(gzip.bytes).toString(), plain.text)
      assert.strictEqual(brotli.headers["content-encoding"], "br")
      assert.strictEqual(brotliDecompressSync(brotli.bytes).toString(), plain.text)
      assert.strictEqual(Number(brotli.headers["content-length"]), brotli.bytes.length)
    })
  )

  it.effect("of 1 KiB or more varies by coding, also when sent plain", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* send("/api/large")).headers.vary, "Origin, Accept-Encoding")
      assert.strictEqual((yield* send("/api/large", accepting("br"))).headers.vary, "Origin, Accept-Encoding")
    })
  )

  it.effect("below 1 KiB is sent as it is", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/small", accepting("br, gzip"))
      assert.isUndefined(answer.headers["content-encoding"])
      assert.strictEqual(answer.headers.vary, "Origin")
    })
  )

  it.effect("that is encoded already is left alone", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/encoded", accepting("br"))
      assert.strictEqual(answer.headers["content-encoding"], "gzip")
      assert.strictEqual(answer.text, "y".repeat(2000))
    })
  )

  it.effect("that is an event stream is never compressed", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/stream", accepting("br, gzip"))
      assert.isUndefined(answer.headers["content-encoding"])
      assert.match(answer.text, /^data: 1\n\ndata: 2\n\n/)
    })
  )

  it.effect("that is another stream is", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/export", accepting("gzip"))
      assert.strictEqual(answer.headers["content-encoding"], "gzip")
      assert.match(gunzipSync(answer.bytes).toString(), /^data: 1\n\n/)
    })
  )
})

layer(testApp(), { excludeTestServices: true })("a document", (it) => {
  it.effect("has a strong tag and the digest of its content", () =>
    Effect.gen(function* () {
      const { headers } = yield* send("/log/document")
      assert.match(String(headers.etag), /^"[\w-]{27}"$/)
      assert.match(String(headers["content-digest"]), /^sha-256=:[A-Za-z0-9+/]{43}=:$/)
      assert.strictEqual(headers["cache-control"], "max-age=60")
    })
  )

  it.effect("is 304 without a body for whoever has it", () =>
    Effect.gen(function* () {
      const etag = String((yield* send("/log/document")).headers.etag)
      for (const value of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
        const answer = yield* send("/log/document", { headers: { "if-none-match": value } })
        assert.strictEqual(answer.status, 304, value)
        assert.strictEqual(answer.text, "")
        assert.strictEqual(answer.headers.etag, etag)
        assert.strictEqual(answer.headers["cache-control"], "max-age=60")
      }
    })
  )

  it.effect("is 200 for whoever has another", () =>
    Effect.gen(function* () {
      const answer = yield* send("/log/document", { headers: { "if-none-match": '"other"' } })
      assert.strictEqual(answer.status, 200)
    })
  )

  it.effect("has another strong tag per coding, each of which brings 304", () =>
    Effect.gen(function* () {
      const plain = String((yield* send("/log/document")).headers.etag)
      const coded = String((yield* send("/log/document", accepting("br"))).headers.etag)
      assert.notStrictEqual(coded, plain)
      assert.notMatch(coded, /^W\//)
      const answer = yield* send("/log/document", {
        headers: { "if-none-match": coded, "accept-encoding": "br" }
      })
      assert.strictEqual(answer.status, 304)
    })
  )
})

describe("negotiation", () => {
  const cases: ReadonlyArray<readonly [accept: string | undefined, chosen: string | undefined]> = [
    [undefined, undefined],
    ["", undefined],
    ["identity", undefined],
    ["gzip", "gzip"],
    ["GZIP", "gzip"],
    ["br", "br"],
    ["gzip, br", "br"],
    ["gzip;q=1.0, br;q=0.5", "gzip"],
    ["gzip;q=0", undefined],
    ["gzip;q=0, br", "br"],
    ["*", "br"],
    ["*;q=0", undefined],
    ["br;q=0, *", "gzip"],
    ["deflate, zstd", undefined],
    ["gzip;q=x", undefined]
  ]
  for (const [accept, chosen] of cases) {
    it(`of ${JSON.stringify(accept)} chooses ${chosen ?? "nothing"}`, () => {
      assert.strictEqual(negotiate(accept), chosen)
    })
  }
})
