import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Cors from "../../../src/http/Cors.ts"
import { testApp } from "../../support/http/TestApp.ts"
import { send, withKey } from "../../support/http/request.ts"

const allowedUnset = (production: boolean) =>
  Cors.make(undefined, production).api("https://x.example")["access-control-allow-origin"]

const allowedFor = (headers: Record<string, string>) =>
  Effect.map(send("/api/livez", { headers }), (answer) => answer.headers["access-control-allow-origin"])

const everyKind: ReadonlyArray<readonly [name: string, path: string, method?: string]> = [
  ["200", "/api/livez"],
  ["401", "/api/gated"],
  ["404", "/nope"],
  ["405", "/openapi.json", "POST"],
  ["500", "/api/defect"],
  ["a preflight", "/api/gated", "OPTIONS"],
  ["a stream", "/api/stream"],
  ["a document", "/openapi.json"]
]

layer(testApp(), { excludeTestServices: true })("every answer", (it) => {
  for (const [name, path, method = "GET"] of everyKind) {
    it.effect(`has a request id, nosniff and a cache rule: ${name}`, () =>
      Effect.gen(function* () {
        const { headers } = yield* send(path, { method })
        assert.match(String(headers["x-request-id"]), /^cp-[0-9a-z]+-[0-9a-z]{8}$/)
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(
          headers["cache-control"],
          path === "/openapi.json" && method === "GET" ? "no-cache" : "no-store"
        )
      })
    )
  }

  it.effect("echoes a request id of visible ASCII up to 200 characters", () =>
    Effect.gen(function* () {
      for (const id of ["a", "x".repeat(200), 'trace/1:"{}~!']) {
        assert.strictEqual(
          (yield* send("/api/gated", { headers: { "x-request-id": id } })).headers["x-request-id"],
          id
        )
      }
    })
  )

  it.effect("replaces any other request id", () =>
    Effect.gen(function* () {
      for (const id of ["", "x".repeat(201), "a b", "caf\u00e9", "a\tb"]) {
        const { headers } = yield* send("/api/livez", { headers: { "x-request-id": id } })
        assert.match(String(headers["x-request-id"]), /^cp-/, JSON.stringify(id))
      }
    })
  )

  it.effect("gives the handler the id it answers with", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/whoami")
      assert.include(answer.text, String(answer.headers["x-request-id"]))
    })
  )

  it.effect("is JSON without charset", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* send("/api/whoami")).headers["content-type"], "application/json")
      assert.strictEqual((yield* send("/api/gated")).headers["content-type"], "application/json")
    })
  )

  it.effect("is a problem only when Accept names the type", () =>
    Effect.gen(function* () {
      const problem = yield* send("/api/nope", {
        headers: { accept: "application/json, application/problem+json" }
      })
      assert.strictEqual(problem.headers["content-type"], "application/problem+json")
      assert.propertyVal(problem.json(), "type", "http://localhost:4000/errors/INVALID_API_KEY")
      assert.propertyVal(problem.json(), "instance", "/api/nope")
      for (const accept of ["*/*", "application/*", "application/json"]) {
        const plain = yield* send("/api/nope", { headers: { accept } })
        assert.deepStrictEqual(Object.keys(plain.json() as object), ["error", "code"])
      }
    })
  )

  it.effect("of a handler's error is a problem when asked for, with the extras", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/things", {
        body: '{"name":"dup"}',
        headers: { accept: "application/problem+json" }
      })
      assert.strictEqual(answer.status, 409)
      assert.deepInclude(answer.json(), { status: 409, code: "ALREADY_EXISTS", existing: { id: "7" } })
    })
  )
})

layer(testApp(), { excludeTestServices: true })("a failure inside", (it) => {
  it.effect("is 500 INTERNAL and shows nothing of its cause", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/defect")
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(answer.json(), { error: "internal error", code: "INTERNAL" })
    })
  )

  it.effect(
    "of the database connection is 503 UNAVAILABLE with Retry-After, and shows nothing of its cause",
    () =>
      Effect.gen(function* () {
        const answer = yield* send("/api/outage")
        assert.strictEqual(answer.status, 503)
        assert.strictEqual(answer.headers["retry-after"], "2")
        assert.deepStrictEqual(answer.json(), { error: "service is unavailable", code: "UNAVAILABLE" })
      })
  )
})

layer(testApp({ CORS_ORIGIN: "https://a.example,https://b.example" }), { excludeTestServices: true })(
  "cross-origin",
  (it) => {
    it.effect("preflight of any path under /api is 204 with all headers, without a key", () =>
      Effect.gen(function* () {
        for (const path of ["/api/gated", "/api/nope", "/api/nope/%zz"]) {
          const { headers, status, text } = yield* send(path, {
            method: "OPTIONS",
            headers: { origin: "https://b.example" }
          })
          assert.strictEqual(status, 204)
          assert.strictEqual(text, "")
          assert.strictEqual(headers["access-control-allow-origin"], "https://b.example")
          assert.strictEqual(
            headers["access-control-allow-methods"],
            "GET,POST,PATCH,DELETE,OPTIONS,PUT,HEAD"
          )
          assert.strictEqual(
            headers["access-control-allow-headers"],
            "authorization,content-type,x-request-id,x-aitp-namespace,idempotency-key,last-event-id,if-none-match,traceparent"
          )
          assert.strictEqual(headers["access-control-max-age"], "600")
          assert.isUndefined(headers["access-control-allow-credentials"])
        }
      })
    )

    it.effect("answers name the matching origin of several, else the first", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* allowedFor({ origin: "https://b.example" }), "https://b.example")
        assert.strictEqual(yield* allowedFor({ origin: "https://evil.example" }), "https://a.example")
        assert.strictEqual(yield* allowedFor({}), "https://a.example")
      })
    )

    it.effect("answers vary by origin, refusals too", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* send("/api/livez")).headers.vary, "Origin")
        const refused = yield* send("/api/gated")
        assert.strictEqual(refused.headers.vary, "Origin")
        assert.isDefined(refused.headers["access-control-allow-origin"])
      })
    )

    it.effect("documents outside /api may be read by every origin", () =>
      Effect.gen(function* () {
        for (const path of ["/openapi.json", "/.well-known/api-catalog", "/log/document"]) {
          assert.strictEqual((yield* send(path)).headers["access-control-allow-origin"], "*", path)
        }
      })
    )

    it.effect("lets pages read the headers they need", () =>
      Effect.gen(function* () {
        const { headers } = yield* send("/api/gated", withKey())
        assert.include(headers["access-control-expose-headers"], "retry-after")
        assert.include(headers["access-control-expose-headers"], "link")
      })
    )
  }
)

describe("without CORS_ORIGIN", () => {
  it("development allows the local console", () =>
    assert.strictEqual(allowedUnset(false), "http://localhost:3000"))

  it("production allows every origin", () => assert.strictEqual(allowedUnset(true), "*"))
})

describe("one CORS_ORIGIN", () => {
  it("is sent verbatim, whoever asks", () => {
    const cors = Cors.make(["https://a.example"], true)
    assert.strictEqual(cors.api("https://b.example")["access-control-allow-origin"], "https://a.example")
    assert.strictEqual(Cors.make(["*"], true).api("https://b.example")["access-control-allow-origin"], "*")
  })
})
