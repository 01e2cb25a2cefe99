import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as JsonText from "../../../src/http/JsonText.ts"
import { testApp } from "../../support/http/TestApp.ts"
import { type Options, outcome, raw, send } from "../../support/http/request.ts"

const refusal = (text: string, depth: number) => {
  const parsed = JsonText.parse(Buffer.from(text), depth)
  return "refusal" in parsed ? parsed.refusal : undefined
}

const head = (length: number) =>
  `POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`

const coded = (coding: string) => outcome("/api/raw", { body: "1", headers: { "content-encoding": coding } })

const textOf = (bytes: number) => `"${"x".repeat(bytes - 2)}"`

const thing = (body: string | Buffer, options: Options = {}) => send("/api/things", { body, ...options })
const invalid = "400 BODY_INVALID"

layer(testApp(), { excludeTestServices: true })("a body", (it) => {
  it.effect("that decodes reaches the handler", () =>
    Effect.gen(function* () {
      const answer = yield* thing('{"name":"ok","size":3,"unknown":true}')
      assert.strictEqual(answer.status, 201)
      assert.deepStrictEqual(answer.json(), { name: "ok", size: 3 })
    })
  )

  it.effect("needs no content type", () =>
    Effect.gen(function* () {
      const body = '{"name":"ok"}'
      assert.strictEqual((yield* thing(body, { headers: { "content-type": "text/plain" } })).status, 201)
      assert.strictEqual((yield* thing(body)).status, 201)
    })
  )

  it.effect("that is not an object is refused", () =>
    Effect.gen(function* () {
      for (const body of ["null", "[]", '"text"', "3", "true"])
        assert.strictEqual(yield* outcome("/api/things", { body }), invalid, body)
    })
  )

  it.effect("that is not JSON is refused", () =>
    Effect.gen(function* () {
      for (const body of ["", "{", '{"name":}', "{'name':1}", '{"name":"a"}x', '{"name":"\u0000"}'])
        assert.strictEqual(yield* outcome("/api/things", { body }), invalid, body)
    })
  )

  it.effect("must be UTF-8 without byte order mark", () =>
    Effect.gen(function* () {
      const latin1 = Buffer.from('{"name":"\u00e9"}', "latin1")
      assert.strictEqual(yield* outcome("/api/things", { body: latin1 }), invalid)
      assert.strictEqual(yield* outcome("/api/things", { body: '\ufeff{"name":"a"}' }), invalid)
      assert.strictEqual((yield* thing('{"name":"\u00e9"}')).status, 201)
    })
  )

  it.effect("refusal names the member and what was expected, never the value", () =>
    Effect.gen(function* () {
      const wrong = (yield* thing('{"name":"ok","size":"secret"}')).json() as { readonly error: string }
      assert.match(wrong.error, /^size: Expected/)
      assert.notInclude(wrong.error, "secret")
      assert.match(((yield* thing("{}")).json() as { readonly error: string }).error, /^name: /)
      assert.match(
        ((yield* thing('{"name":"toolong"}')).json() as { readonly error: string }).error,
        /^name: /
      )
    })
  )

  it.effect(
    "with NUL in a string or member name is refused; an escaped backslash before u0000 is not NUL",
    () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcome("/api/things", { body: String.raw`{"name":"a\u0000"}` }), invalid)
        assert.strictEqual(
          yield* outcome("/api/things", { body: String.raw`{"name":"a","x\u0000":1}` }),
          invalid
        )
        assert.strictEqual((yield* thing(String.raw`{"name":"a","label":"\\u0000"}`)).status, 201)
      })
  )

  it.effect("has lone surrogates replaced, pairs kept", () =>
    Effect.gen(function* () {
      const answer = yield* thing(String.raw`{"name":"a\ud800","label":"\ud83d\ude00"}`)
      assert.deepStrictEqual(answer.json(), { name: "a\ufffd", label: "\u{1f600}" })
    })
  )

  it.effect("with duplicate members counts the last", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* thing('{"name":"a","name":"b"}')).json(), { name: "b" })
    })
  )

  it.effect("cannot reach prototypes", () =>
    Effect.gen(function* () {
      const answer = yield* thing('{"name":"a","__proto__":{"size":1},"constructor":1}')
      assert.deepStrictEqual(answer.json(), { name: "a" })
    })
  )

  it.effect("may nest as deep as its route takes, and no deeper", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/raw", { body: "[[[1]]]" }), "200 ok")
      assert.strictEqual(yield* outcome("/api/raw", { body: "[[[[1]]]]" }), invalid)
      const deep = "[".repeat(30_000)
      assert.strictEqual(yield* outcome("/api/things", { body: deep }), invalid)
    })
  )

  it.effect("kept raw keeps NUL and lone surrogates", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/raw", { body: String.raw`["\u0000"]` })
      assert.deepStrictEqual(answer.json(), { value: ["\u0000"] })
    })
  )
})

layer(testApp(), { excludeTestServices: true })("a body over the cap", (it) => {
  const large = `{"name":"${"x".repeat(70_000)}"}`

  it.effect("is 413 by its Content-Length, unread", () =>
    Effect.gen(function* () {
      const answer = yield* raw(
        "POST /api/things HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n"
      )
      assert.match(answer, /^HTTP\/1\.1 413 /)
      assert.include(answer, '"code":"PAYLOAD_TOO_LARGE"')
    })
  )

  it.effect("is 413 without a length, counted on what arrives", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* outcome("/api/things", { body: large, chunked: true }),
        "413 PAYLOAD_TOO_LARGE"
      )
    })
  )

  it.effect("follows the endpoint's own limit to the byte", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/raw", { body: textOf(1000) }), "200 ok")
      assert.strictEqual(yield* outcome("/api/raw", { body: textOf(1001) }), "413 PAYLOAD_TOO_LARGE")
      assert.strictEqual(
        yield* outcome("/api/raw", { body: textOf(1001), chunked: true }),
        "413 PAYLOAD_TOO_LARGE"
      )
    })
  )

  it.effect("leaves the connection usable when little is unread", () =>
    Effect.gen(function* () {
      const body = "x".repeat(2000)
      const received = yield* raw(
        `POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
          "GET /api/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      )
      assert.match(received, /^HTTP\/1\.1 413 [\s\S]*HTTP\/1\.1 200 /)
    })
  )
})

layer(testApp(), { excludeTestServices: true })("a request with", (it) => {
  it.effect("a content coding is 415, identity is none", () =>
    Effect.gen(function* () {
      for (const coding of ["gzip", "br", "gzip, identity"])
        assert.strictEqual(yield* coded(coding), "415 UNSUPPORTED_ENCODING")
      assert.strictEqual(yield* coded("Identity"), "200 ok")
    })
  )

  it.effect("Expect: 100-continue is asked for its body, unless it is refused", () =>
    Effect.gen(function* () {
      assert.match(yield* raw(`${head(1)}1`), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
      assert.match(yield* raw(head(5000)), /^HTTP\/1\.1 413 /)
    })
  )

  it.effect("an expectation nobody knows is answered as it is", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/livez", { headers: { expect: "miracles" } })
      assert.strictEqual(answer.status, 200)
    })
  )
})

describe("the nesting of a text", () => {
  it("counts brackets outside of strings only", () => {
    assert.isUndefined(refusal(String.raw`{"a":"[[[[{{{{\"[["}`, 1))
    assert.isUndefined(refusal("[1,[2],[3]]", 2))
    assert.strictEqual(refusal('{"a":{"b":{}}}', 2), "is nested too deeply")
  })

  it("is no reason to scan beyond the text's end", () => {
    assert.strictEqual(refusal('"unterminated', 5), "is not valid JSON")
    assert.strictEqual(refusal('"\\', 5), "is not valid JSON")
  })
})
