import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TestApp, testApp } from "../../support/http/TestApp.ts"
import { outcome, send, withKey } from "../../support/http/request.ts"

const gone = "404 NOT_FOUND"

layer(testApp(), { excludeTestServices: true })("a path", (it) => {
  it.effect("under /api that no endpoint has is 401 without a key, 404 with one", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/nope"), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api"), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/nope", withKey()), gone)
    })
  )

  it.effect("outside /api that no endpoint has is 404", () =>
    Effect.gen(function* () {
      for (const path of ["/", "/nope", "/apix", "/API/livez"])
        assert.strictEqual(yield* outcome(path), gone, path)
    })
  )

  it.effect("with another method is 405 with Allow, once a key is sent", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/livez", { method: "DELETE", ...withKey() })
      assert.strictEqual(answer.status, 405)
      assert.strictEqual(answer.headers.allow, "GET, HEAD, OPTIONS")
      assert.strictEqual(
        (yield* send("/api/things", { method: "GET", ...withKey() })).headers.allow,
        "POST, OPTIONS"
      )
    })
  )

  it.effect("that is public for one method is gated for the others", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/livez", { method: "DELETE" }), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/livez"), "200 ok")
    })
  )

  it.effect("outside /api with another method is 405 without a key", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/openapi.json", { method: "POST" }), "405 METHOD_NOT_ALLOWED")
    })
  )

  it.effect("is exact: trailing slash, double slash, other case and suffixes are other paths", () =>
    Effect.gen(function* () {
      for (const path of [
        "/api/livez/",
        "/api//livez",
        "/api/Livez",
        "/api/livez;x",
        "/api/livez/x",
        "/api/items/"
      ])
        assert.strictEqual(yield* outcome(path, withKey()), gone, path)
    })
  )

  it.effect("that is public has no public suffix", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/items/a"), "200 ok")
      assert.strictEqual(yield* outcome("/api/items/a/part"), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/items/a/other"), "401 INVALID_API_KEY")
    })
  )

  it.effect("with a malformed escape or NUL is 400", () =>
    Effect.gen(function* () {
      for (const path of ["/api/items/%zz", "/api/items/%", "/api/items/%ff", "/api/items/a%00b"])
        assert.strictEqual(yield* outcome(path, withKey()), "400 BAD_REQUEST", path)
      assert.strictEqual(yield* outcome("/%zz"), "400 BAD_REQUEST")
    })
  )

  it.effect("under /api with a malformed escape is 401 first", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/nope/%zz"), "401 INVALID_API_KEY")
    })
  )

  const parameters: ReadonlyArray<readonly [sent: string, received: string]> = [
    ["aid:pubkey:abc", "aid:pubkey:abc"],
    ["aid%3Apubkey%3Aabc", "aid:pubkey:abc"],
    ["a%2Fb", "a/b"],
    ["a%252Fb", "a%2Fb"],
    ["%2541", "%41"],
    ["%C3%A9", "é"],
    ["a+b", "a+b"],
    ["a;b", "a;b"],
    ["a%3Bb%3Fc%23d", "a;b?c#d"],
    ["x".repeat(4000), "x".repeat(4000)]
  ]
  for (const [sent, received] of parameters) {
    it.effect(`parameter ${sent.slice(0, 24)} is decoded exactly once`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* send(`/api/items/${sent}`)).json(), { aid: received })
      })
    )
  }

  it.effect("has a HEAD wherever it has a GET, with the same headers and no body", () =>
    Effect.gen(function* () {
      const get = yield* send("/api/large")
      const head = yield* send("/api/large", { method: "HEAD" })
      assert.strictEqual(head.status, 200)
      assert.strictEqual(head.text, "")
      assert.strictEqual(head.headers["content-length"], get.headers["content-length"])
    })
  )

  it.effect("in absolute form is the same path", () =>
    Effect.gen(function* () {
      const { url } = yield* TestApp
      assert.strictEqual(yield* outcome(`${url}/api/livez`), "200 ok")
    })
  )

  it.effect("with a query is the same path, and the values are read as the query says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* send("/api/list?limit=99&runId=b&run_id=a%20c&other=1")).json(), {
        limit: 50,
        offset: 0,
        runId: "a c"
      })
      assert.strictEqual(yield* outcome("/api/list?offset=100001"), "400 BAD_REQUEST")
      assert.strictEqual(yield* outcome("/api/list?run_id=%00"), "400 BAD_REQUEST")
    })
  )

  it.effect("is logged and counted by its template, without its query", () =>
    Effect.gen(function* () {
      const { records } = yield* TestApp
      yield* send("/api/items/secret-value?token=secret")
      const record = records.at(-1)
      assert.strictEqual(record?.route, "/api/items/:aid")
      assert.notInclude(JSON.stringify(record), "token")
      yield* send("/random/path/of/a/scanner")
      assert.strictEqual(records.at(-1)?.route, "unknown")
      const metrics = (yield* send("/api/metrics")).text
      assert.include(metrics, 'http_requests_total{method="GET",route="/api/items/:aid",status="200"}')
      assert.notInclude(metrics, "secret-value")
      assert.notInclude(metrics, "scanner")
    })
  )
})
