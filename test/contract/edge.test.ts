import { gunzipSync, brotliDecompressSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { agentPath, joined, newAgent } from "../support/service/agents.ts"
import { outcome, raw, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import {
  API_KEY,
  anyService,
  Control,
  isRemote,
  OTHER_KEY,
  ownService,
  Service
} from "../support/service/Service.ts"

const GATED = "/api/events/history"
const PUBLIC = "/api/registry/agents"

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("credentials", (it) => {
  it.effect("come before route and method: an unknown path is 401 without a key and 404 with one", () =>
    Effect.gen(function* () {
      for (const path of [
        "/api/nothing",
        "/api/",
        "/api",
        "/api/events/",
        "/api/registry",
        "/api/registry/agents/x/y",
        "/api/v1/x"
      ]) {
        assert.strictEqual(yield* outcome(path), "401 INVALID_API_KEY", path)
        assert.strictEqual(yield* outcome(path, { key: true }), "404 NOT_FOUND", path)
      }
      assert.strictEqual(yield* outcome("/nothing"), "404 NOT_FOUND")
      assert.strictEqual(yield* outcome("/"), "404 NOT_FOUND")
    })
  )

  it.effect("come before the method: a wrong one is 401 without a key and 405 with Allow with one", () =>
    Effect.gen(function* () {
      for (const [path, method, allow] of [
        [GATED, "POST", ["GET", "HEAD", "OPTIONS"]],
        ["/api/events", "DELETE", ["POST", "OPTIONS"]],
        [agentPath("x"), "PUT", ["GET", "HEAD", "DELETE", "OPTIONS"]],
        [PUBLIC, "PATCH", ["GET", "HEAD", "POST", "OPTIONS"]],
        ["/api/registry/enroll", "GET", ["POST", "OPTIONS"]],
        ["/api/livez", "POST", ["GET", "HEAD", "OPTIONS"]]
      ] as const) {
        const answer = yield* send(path, { method, key: true })
        assertRefused(answer, 405, "METHOD_NOT_ALLOWED")
        assert.includeMembers(String(answer.headers["allow"]).split(", "), [...allow], path)
      }
      assert.strictEqual(yield* outcome(GATED, { method: "POST" }), "401 INVALID_API_KEY")
      const document = yield* send("/openapi.json", { method: "POST" })
      assertRefused(document, 405, "METHOD_NOT_ALLOWED")
    })
  )

  it.effect("come before the body: neither a bad nor a too large one is looked at without a key", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/events", { body: "{" }), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/events", { body: "x".repeat(400_000) }), "401 INVALID_API_KEY")
      assert.strictEqual(
        yield* outcome("/api/events", { body: "x".repeat(400_000), chunked: true }),
        "401 INVALID_API_KEY"
      )
    })
  )

  it.effect("are taken bare and after Bearer in any case, and nowhere else", () =>
    Effect.gen(function* () {
      const { apiKey } = yield* Service
      for (const authorization of [apiKey, `Bearer ${apiKey}`, `bearer ${apiKey}`, `BEARER   ${apiKey}`]) {
        assert.strictEqual(yield* outcome(GATED, { headers: { authorization } }), "200 ok", authorization)
      }
      for (const authorization of [
        "",
        "Bearer",
        "Bearer ",
        `Basic ${apiKey}`,
        `Bearer ${apiKey}x`,
        `Bearer ${apiKey} x`,
        apiKey.toUpperCase(),
        `Bearer ${apiKey},${OTHER_KEY}`
      ]) {
        assert.strictEqual(
          yield* outcome(GATED, { headers: { authorization } }),
          "401 INVALID_API_KEY",
          authorization
        )
      }
      const refused = yield* send(`${GATED}?api_key=${apiKey}&key=${apiKey}`, {
        headers: {
          cookie: `authorization=${apiKey}`,
          "x-api-key": apiKey,
          "proxy-authorization": `Bearer ${apiKey}`
        }
      })
      assertRefused(refused, 401, "INVALID_API_KEY")
      assert.strictEqual(refused.headers["www-authenticate"], "Bearer")
    })
  )

  it.effect("are ignored on public routes, also wrong ones", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      for (const path of [
        PUBLIC,
        agentPath(aid),
        agentPath(aid, "/manifest"),
        "/api/health",
        "/api/livez",
        "/api/readyz",
        "/api/metrics",
        "/openapi.json",
        "/.well-known/aitp-manifest"
      ]) {
        for (const authorization of ["Bearer wrong", "garbage"]) {
          assert.strictEqual((yield* send(path, { headers: { authorization } })).status, 200, path)
        }
      }
      const { text } = mintManifest(newAgent())
      assert.strictEqual(
        yield* outcome("/api/registry/enroll", { body: text, headers: { authorization: "Bearer x" } }),
        "200 ok"
      )
    })
  )

  it.effect("are needed for every other route below /api, also odd spellings of public ones", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      const paths = [
        agentPath(aid, "/export"),
        agentPath(aid, "/manifest/"),
        agentPath(aid, "/MANIFEST"),
        "/api//livez",
        "/api/livez/",
        "/api/Livez",
        "/api/registry/agents/",
        "/api/registry//agents",
        "/api/registry/agents;x=1",
        "/api/%6civez/x",
        "/api/livez;/x",
        "/api/events",
        "/api/registry/agents/a/b/manifest"
      ]
      for (const path of paths) assert.strictEqual(yield* outcome(path), "401 INVALID_API_KEY", path)
      assert.strictEqual(yield* outcome(agentPath(aid), { method: "DELETE" }), "401 INVALID_API_KEY")
    })
  )
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("every request", (it) => {
  it.effect("gets its own id back, or a new one, on every kind of answer", () =>
    Effect.gen(function* () {
      const paths = [
        "/api/livez",
        GATED,
        "/api/nothing",
        "/nothing",
        PUBLIC,
        "/openapi.json",
        "/.well-known/aitp-manifest",
        "/docs",
        "/api/metrics",
        "/api/%zz"
      ]
      for (const path of paths) {
        const given = yield* send(path, { headers: { "x-request-id": "trace-1!~" } })
        assert.strictEqual(given.headers["x-request-id"], "trace-1!~", path)
        const made = yield* send(path)
        assert.match(String(made.headers["x-request-id"]), /^cp-[0-9a-z]+-[0-9a-z]{8}$/, path)
        assert.strictEqual(made.headers["x-content-type-options"], "nosniff", path)
        assert.isString(made.headers["cache-control"], path)
      }
      for (const bad of ["", " ", "a b", "x".repeat(201), "ü"]) {
        const answer = yield* send("/api/livez", { headers: { "x-request-id": bad } })
        assert.match(String(answer.headers["x-request-id"]), /^cp-/, bad)
      }
      const longest = "x".repeat(200)
      assert.strictEqual(
        (yield* send("/api/livez", { headers: { "x-request-id": longest } })).headers["x-request-id"],
        longest
      )
      assert.strictEqual(
        (yield* send("/api/livez", { method: "OPTIONS" })).headers["x-request-id"]?.slice(0, 3),
        "cp-"
      )
    })
  )

  it.effect(
    "is refused with 400 for a malformed escape or NUL in its path, once the credential is good",
    () =>
      Effect.gen(function* () {
        for (const path of [
          "/api/events/%",
          "/api/events/%zz",
          "/api/events/%c0%80",
          "/api/events/a%00b",
          "/api/nothing/%zz",
          // no public path has such a shape
          agentPath("x").replace("x", "%zz")
        ]) {
          assert.strictEqual(yield* outcome(path), "401 INVALID_API_KEY", path)
          assert.strictEqual(yield* outcome(path, { key: true }), "400 BAD_REQUEST", path)
        }
        for (const path of ["/errors/%zz", "/%zz"]) {
          assert.strictEqual(yield* outcome(path), "400 BAD_REQUEST", path)
        }
      })
  )

  it.effect("has its path decoded exactly once, with %2F inside its segment", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      assert.strictEqual((yield* send(`${PUBLIC}/${aid}`)).status, 200)
      assert.strictEqual((yield* send(agentPath(aid))).status, 200)
      assert.strictEqual(yield* outcome(agentPath(encodeURIComponent(aid))), "404 NOT_FOUND")
      assert.strictEqual(yield* outcome(`${PUBLIC}/${aid}%2Fmanifest`), "404 NOT_FOUND")
      assert.strictEqual(yield* outcome(`${PUBLIC}/${aid}/`, { key: true }), "404 NOT_FOUND")
      assert.strictEqual(yield* outcome("/API/livez"), "404 NOT_FOUND")
    })
  )

  it.effect("is refused with 415 when its body is compressed, also where a body is not wanted", () =>
    Effect.gen(function* () {
      for (const coding of ["gzip", "br", "deflate", "zstd", "x", "gzip, identity"]) {
        const headers = { "content-encoding": coding }
        assertRefused(
          yield* send("/api/events", { body: "[]", key: true, headers }),
          415,
          "UNSUPPORTED_ENCODING"
        )
      }
      for (const coding of ["identity", "Identity"]) {
        assert.strictEqual(
          yield* outcome("/api/events", { body: "[]", key: true, headers: { "content-encoding": coding } }),
          "200 ok"
        )
      }
      const { text } = mintManifest(newAgent())
      assert.strictEqual(
        yield* outcome("/api/registry/enroll", { body: text, headers: { "content-encoding": "gzip" } }),
        "415 UNSUPPORTED_ENCODING"
      )
    })
  )

  it.effect("may say any content type, also on a GET or DELETE without body", () =>
    Effect.gen(function* () {
      for (const type of [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "garbage",
        ""
      ]) {
        const headers = { "content-type": type }
        assert.strictEqual(yield* outcome("/api/events", { body: "[]", key: true, headers }), "200 ok", type)
        assert.strictEqual(yield* outcome(PUBLIC, { headers }), "200 ok", type)
      }
    })
  )

  it.effect("may be HEAD wherever it may be GET: same status and headers, no body", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      for (const path of [
        "/api/livez",
        "/api/readyz",
        "/api/health",
        "/openapi.json",
        "/docs",
        "/.well-known/aitp-manifest",
        agentPath(aid),
        agentPath(aid, "/manifest"),
        `${PUBLIC}?limit=1`,
        GATED,
        "/nothing",
        agentPath("x")
      ]) {
        const get = yield* send(path, { key: true })
        const head = yield* send(path, { key: true, method: "HEAD" })
        assert.strictEqual(head.status, get.status, path)
        assert.strictEqual(head.text, "", path)
        for (const name of ["content-type", "etag", "cache-control"])
          assert.strictEqual(head.headers[name], get.headers[name], `${path} ${name}`)
      }
    })
  )

  it.effect("on one connection after another is answered in order", () =>
    Effect.gen(function* () {
      const { apiKey } = yield* Service
      const event = (n: number) => {
        const body = JSON.stringify([{ type: `pipelined.${n}` }])
        return `POST /api/events HTTP/1.1\r\nHost: a\r\nAuthorization: ${apiKey}\r\nX-Request-Id: r${n}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      }
      const received = yield* raw(
        `${event(1)}${event(2)}GET /api/livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: r3\r\nConnection: close\r\n\r\n`
      )
      assert.deepEqual(
        [...received.matchAll(/x-request-id: (r\d)/gi)].map(([, id]) => id),
        ["r1", "r2", "r3"]
      )
    })
  )

  it.effect(
    "that expects 100-continue gets it once its body is wanted, and the refusal alone when it is not",
    () =>
      Effect.gen(function* () {
        const { apiKey } = yield* Service
        const head = (authorization: string, length: number) =>
          `POST /api/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n${authorization}Content-Length: ${length}\r\n\r\n`
        const wanted = yield* raw(`${head(`Authorization: ${apiKey}\r\n`, 2)}[]`)
        assert.match(wanted, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
        assert.match(yield* raw(head("", 2)), /^HTTP\/1\.1 401 /)
        assert.match(yield* raw(head(`Authorization: ${apiKey}\r\n`, 9_999_999)), /^HTTP\/1\.1 413 /)
      })
  )
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("answers", (it) => {
  it.effect("are problems for those who ask for that, and plain envelopes for all others", () =>
    Effect.gen(function* () {
      const problem = yield* send("/api/nothing", {
        key: true,
        headers: { accept: "application/problem+json" }
      })
      assert.strictEqual(problem.headers["content-type"], "application/problem+json")
      const { detail, error, title, type, ...rest } = problem.json()
      assert.deepEqual(rest, { status: 404, instance: "/api/nothing", code: "NOT_FOUND" })
      assert.match(String(type), /^https?:\/\/.+\/errors\/NOT_FOUND$/)
      assert.strictEqual(detail, error)
      assert.isString(title)
      for (const accept of ["*/*", "application/json", "application/*", "text/html"]) {
        assertRefused(yield* send("/api/nothing", { key: true, headers: { accept } }), 404, "NOT_FOUND")
      }
      const enrolled = yield* send("/api/registry/enroll", {
        body: "{}",
        headers: { accept: "application/problem+json" }
      })
      assert.deepInclude(enrolled.json<object>(), {
        code: "MANIFEST_INVALID",
        verifyCode: "malformed",
        status: 400
      })
    })
  )

  it.effect("are compressed from 1 KiB on, as asked, with the same bytes inside", () =>
    Effect.gen(function* () {
      const plain = yield* send("/openapi.json")
      assert.notProperty(plain.headers, "content-encoding")
      for (const [coding, decode] of [
        ["gzip", gunzipSync],
        ["br", brotliDecompressSync]
      ] as const) {
        const answer = yield* send("/openapi.json", { headers: { "accept-encoding": coding } })
        assert.strictEqual(answer.headers["content-encoding"], coding)
        assert.include(String(answer.headers["vary"]), "Accept-Encoding")
        assert.deepEqual(decode(answer.bytes), plain.bytes)
      }
      for (const refused of ["identity", "gzip;q=0", "deflate", ""]) {
        assert.notProperty(
          (yield* send("/openapi.json", { headers: { "accept-encoding": refused } })).headers,
          "content-encoding",
          refused
        )
      }
      assert.notProperty(
        (yield* send("/api/livez", { headers: { "accept-encoding": "gzip" } })).headers,
        "content-encoding"
      )
    })
  )

  it.effect("let other origins read them: the configured one below /api, any for documents", () =>
    Effect.gen(function* () {
      for (const path of ["/api/livez", GATED, "/api/nothing", PUBLIC]) {
        const { headers } = yield* send(path, { headers: { origin: "https://elsewhere.example" } })
        assert.isString(headers["access-control-allow-origin"], path)
        assert.notStrictEqual(headers["access-control-allow-origin"], "https://elsewhere.example")
        assert.match(String(headers["vary"]), /Origin/)
        assert.notProperty(headers, "access-control-allow-credentials")
      }
      for (const path of ["/.well-known/aitp-manifest", "/openapi.json"]) {
        assert.strictEqual((yield* send(path)).headers["access-control-allow-origin"], "*")
      }
    })
  )

  it.effect("to a preflight are 204 on every path below /api, without any credential", () =>
    Effect.gen(function* () {
      for (const path of [
        "/api/events",
        GATED,
        "/api/nothing",
        agentPath("x"),
        "/api/%zz",
        "/api/registry/enroll"
      ]) {
        const headers = { origin: "http://localhost:3000", "access-control-request-method": "POST" }
        const answer = yield* send(path, { method: "OPTIONS", headers })
        assert.strictEqual(answer.status, 204, path)
        assert.strictEqual(answer.text, "")
        assert.strictEqual(answer.headers["access-control-max-age"], "600")
        const methods = String(answer.headers["access-control-allow-methods"]).split(",")
        assert.includeMembers(methods, ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "PUT", "HEAD"])
        const allowed = String(answer.headers["access-control-allow-headers"]).split(",")
        assert.includeMembers(allowed, [
          "authorization",
          "content-type",
          "x-request-id",
          "x-aitp-namespace",
          "idempotency-key",
          "last-event-id",
          "if-none-match",
          "traceparent"
        ])
        const exposed = String(answer.headers["access-control-expose-headers"]).split(",")
        assert.includeMembers(exposed, [
          "x-request-id",
          "idempotency-replayed",
          "retry-after",
          "ratelimit",
          "etag",
          "link",
          "aitp-last-event-id",
          "x-jwks-cached-at"
        ])
      }
    })
  )
})

const suite = { timeout: "60 seconds", excludeTestServices: true } as const

describe.skipIf(isRemote)("a service with several origins", () => {
  layer(
    ownService({ CORS_ORIGIN: "https://a.example,https://b.example" }),
    suite
  )((it) => {
    it.effect("echoes the matching one, else the first", () =>
      Effect.gen(function* () {
        for (const [origin, allowed] of [
          ["https://a.example", "https://a.example"],
          ["https://b.example", "https://b.example"],
          ["https://c.example", "https://a.example"],
          ["null", "https://a.example"]
        ] as const) {
          const { headers } = yield* send("/api/livez", { headers: { origin } })
          assert.strictEqual(headers["access-control-allow-origin"], allowed)
        }
      })
    )
  })
})

describe.skipIf(isRemote)("a service without keys", () => {
  layer(
    ownService({ API_KEYS: "" }),
    suite
  )((it) => {
    it.effect("is open outside production and says so at start", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcome(GATED), "200 ok")
        assert.strictEqual(yield* outcome(GATED, { headers: { authorization: "Bearer anything" } }), "200 ok")
        assert.strictEqual(yield* outcome("/api/nothing"), "404 NOT_FOUND")
        assert.strictEqual((yield* Control).process.log().split("API_KEYS").length - 1, 1)
      })
    )
  })
})

const production = {
  NODE_ENV: "production",
  CP_BASE_URL: "https://cp.example.com",
  CORS_ORIGIN: "https://console.example.com"
}

describe.skipIf(isRemote)("a production service without keys", () => {
  layer(
    ownService({ ...production, API_KEYS: "" }),
    suite
  )((it) => {
    it.effect("answers 503 on gated routes and serves the public ones", () =>
      Effect.gen(function* () {
        for (const authorization of ["", "Bearer x", API_KEY]) {
          const answer = yield* send(GATED, { headers: { authorization } })
          assertRefused(answer, 503, "SERVER_MISCONFIGURED")
        }
        assertRefused(yield* send("/api/nothing"), 503, "SERVER_MISCONFIGURED")
        assertRefused(yield* send("/api/events", { body: "[]" }), 503, "SERVER_MISCONFIGURED")
        yield* joined()
        assert.strictEqual(yield* outcome(PUBLIC), "200 ok")
        assert.strictEqual((yield* send("/api/livez")).status, 200)
        assert.include(
          (yield* send("/api/metrics")).text,
          'aitp_control_plane_config_warnings{name="API_KEYS"} 1'
        )
      })
    )
  })
})

describe.skipIf(isRemote)("a service with a short enrollment secret", () => {
  layer(
    ownService({ ENROLLMENT_SECRET: "short", METRICS_TOKEN: "scrape" }),
    suite
  )((it) => {
    it.effect("answers 503 on enroll and register and serves the rest", () =>
      Effect.gen(function* () {
        const { text } = mintManifest(newAgent())
        assertRefused(yield* send("/api/registry/enroll", { body: text }), 503, "SERVER_MISCONFIGURED")
        assertRefused(yield* send("/api/registry/agents", { body: text }), 503, "SERVER_MISCONFIGURED")
        assert.strictEqual(yield* outcome(PUBLIC), "200 ok")
      })
    )

    it.effect("asks for the metrics token when there is one", () =>
      Effect.gen(function* () {
        const { url } = yield* Service
        assertRefused(yield* send("/api/metrics"), 401, "INVALID_API_KEY")
        assertRefused(yield* send("/api/metrics", { key: true }), 401, "INVALID_API_KEY")
        assert.strictEqual(
          (yield* sendTo({ url, apiKey: "scrape" }, "/api/metrics", { key: true })).status,
          200
        )
      })
    )
  })
})
