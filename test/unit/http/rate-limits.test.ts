import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect } from "effect"
import * as fc from "fast-check"
import { CountedResponse } from "../../../src/http/CountedResponse.ts"
import { limitOf } from "../../../src/http/RateLimiter.ts"
import * as RateLimits from "../../../src/http/RateLimits.ts"
import { FixedWindows } from "../../../src/limits/FixedWindows.ts"
import { type Answer, type Options, outcome, send } from "../../support/http/request.ts"
import { TestApp, testApp } from "../../support/http/TestApp.ts"

const limited = {
  RATE_LIMIT_ENABLED: "true",
  RATE_LIMIT_ENROLLMENT_PER_IP_MIN: "2",
  RATE_LIMIT_PUBLIC_PER_IP_MIN: "3",
  RATE_LIMIT_API_KEY_PER_MIN: "4",
  RATE_LIMIT_WINDOW_MS: "60000",
  CLIENT_IP_HEADER: "X-Client"
}

let clients = 0
/** A client that has sent nothing yet. */
const newClient = () => `203.0.113.${(clients += 1)}`

const from = (client: string, options: Options = {}): Options => ({
  ...options,
  headers: { ...options.headers, "x-client": client }
})
const bearing = (key: string, options: Options = {}): Options => ({
  ...options,
  headers: { ...options.headers, authorization: `Bearer ${key}` }
})

/** Bucket and what is left in it, as an answer tells; undefined when it tells nothing. */
const leftIn = ({ headers }: Answer): string | undefined => {
  const [, bucket, left] = /^"([a-z-]+)";r=(\d+);t=\d+$/.exec(String(headers["ratelimit"])) ?? []
  return bucket === undefined ? undefined : `${bucket} ${left}`
}

const left = (path: string, options?: Options) => Effect.map(send(path, options), leftIn)

describe("the head of an answer", () => {
  const limits = RateLimits.make({ take: () => undefined }, false, () => "", Context.empty())

  it("gives a window its whole length in seconds at its first request, at any moment", () => {
    // where the end has fewer binary places than the beginning, their difference is not the length
    const moment = fc.record({
      power: fc.integer({ min: 17, max: 40 }),
      part: fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true }),
      seconds: fc.integer({ min: 1, max: 120 })
    })
    fc.assert(
      fc.property(moment, ({ part, power, seconds }) => {
        const now = 2 ** power - part * seconds * 1000
        const windows = new FixedWindows(limitOf("public-ip", 5, seconds * 1000), 10)
        const answer = new CountedResponse(new IncomingMessage(new Socket()))
        assert.isUndefined(limits.settle(answer, windows.take("key", now), now))
        assert.strictEqual(answer.edgeHeaders["ratelimit"], `"public-ip";r=4;t=${seconds}`)
        assert.strictEqual(answer.edgeHeaders["ratelimit-policy"], `"public-ip";q=5;w=${seconds}`)
      })
    )
  })

  it("never sends anybody back at once", () => {
    const windows = new FixedWindows(limitOf("public-ip", 1, 1000), 10)
    for (const now of [0, 0.5, 999.99]) {
      const answer = new CountedResponse(new IncomingMessage(new Socket()))
      const refusal = limits.settle(answer, windows.take("key", now), now)
      assert.strictEqual(refusal?.code, now === 0 ? undefined : "RATE_LIMITED")
      assert.strictEqual(answer.edgeHeaders["retry-after"], now === 0 ? undefined : "1")
    }
  })
})

layer(testApp(limited), { excludeTestServices: true })("a request", (it) => {
  it.effect("without key is counted by its address, also on the route of the enrollment token", () =>
    Effect.gen(function* () {
      const client = newClient()
      assert.strictEqual(yield* left("/api/whoami", from(client)), "public-ip 2")
      assert.strictEqual(yield* left("/api/redeem", from(client, { method: "POST" })), "public-ip 1")
      assert.strictEqual(yield* left("/api/whoami", from(client, bearing("wrong"))), "public-ip 0")
      assert.strictEqual(yield* outcome("/api/list", from(client)), "429 RATE_LIMITED")
      assert.strictEqual(yield* outcome("/api/list", from(newClient())), "200 ok")
    })
  )

  it.effect(
    "with a wrong key, or with none where one is needed, is counted by its address before it is refused",
    () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* left("/api/gated", from(client, bearing("wrong"))), "public-ip 2")
        assert.strictEqual(yield* left("/api/gated", from(client)), "public-ip 1")
        assert.strictEqual(yield* outcome("/api/unknown", from(client)), "401 INVALID_API_KEY")
        assert.strictEqual(yield* outcome("/api/gated", from(client, bearing("wrong"))), "429 RATE_LIMITED")
        assert.strictEqual(yield* outcome("/api/whoami", from(client)), "429 RATE_LIMITED")
      })
  )

  it.effect("with a valid key is counted by the key, on every route and from everywhere", () =>
    Effect.gen(function* () {
      const key = "key-1"
      assert.strictEqual(yield* left("/api/gated", from(newClient(), bearing(key))), "api-key 3")
      assert.strictEqual(yield* left("/api/whoami", from(newClient(), bearing(key))), "api-key 2")
      assert.strictEqual(yield* left("/api/unknown", from(newClient(), bearing(key))), "api-key 1")
      assert.strictEqual(
        yield* left("/api/gated", from(newClient(), bearing(key, { method: "POST" }))),
        "api-key 0"
      )
      assert.strictEqual(yield* outcome("/api/whoami", from(newClient(), bearing(key))), "429 RATE_LIMITED")
      assert.strictEqual(yield* left("/api/gated", bearing("key-2")), "api-key 3")
    })
  )

  it.effect("with a key in place of the enrollment token is counted by its address", () =>
    Effect.gen(function* () {
      const options = from(newClient(), bearing("key-2", { method: "POST" }))
      assert.strictEqual(yield* left("/api/redeem", options), "public-ip 2")
    })
  )

  it.effect("for probes and metrics, with OPTIONS, or outside /api is not counted", () =>
    Effect.gen(function* () {
      const client = newClient()
      for (let i = 0; i < 5; i += 1) {
        for (const path of [
          "/api/health",
          "/api/livez",
          "/api/readyz",
          "/api/metrics",
          "/openapi.json",
          "/none"
        ])
          assert.isUndefined(yield* left(path, from(client)), path)
        assert.isUndefined(yield* left("/api/livez", from(client, { method: "POST" })))
        assert.isUndefined(yield* left("/api/gated", from(client, { method: "OPTIONS" })))
      }
      assert.strictEqual(yield* left("/api/whoami", from(client)), "public-ip 2")
    })
  )

  it.effect("is counted also when it is refused for something else, and tells so", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [path: string, status: number, options?: Options]> = [
        ["/api/whoami", 200],
        ["/api/whoami", 200, { method: "HEAD" }],
        ["/api/whoami", 401, { method: "DELETE" }],
        ["/api/%zz", 401],
        ["/api/list?offset=100001", 400],
        ["/api/things", 413, { body: "x".repeat(70_000) }],
        ["/api/things", 415, { body: "{}", headers: { "content-encoding": "gzip" } }],
        ["/api/things", 409, { body: '{"name":"dup"}' }],
        ["/api/large", 200, { headers: { "accept-encoding": "br" } }],
        ["/api/stream", 200],
        ["/api/export", 200],
        ["/api/defect", 500],
        ["/api/outage", 503]
      ]
      for (const [path, status, options] of cases) {
        const answer = yield* send(path, from(newClient(), options))
        const name = `${path} ${answer.status}`
        assert.strictEqual(answer.status, status, name)
        assert.strictEqual(leftIn(answer), "public-ip 2", name)
        assert.strictEqual(answer.headers["ratelimit-policy"], '"public-ip";q=3;w=60', name)
        assert.strictEqual(answer.headers["x-ratelimit-limit"], "3", name)
        assert.strictEqual(answer.headers["x-ratelimit-remaining"], "2", name)
        assert.match(String(answer.headers["x-ratelimit-reset"]), /^\d{10}$/, name)
      }
    })
  )

  it.effect("past the limit is not run, and told when to come back", () =>
    Effect.gen(function* () {
      const client = newClient()
      const { records } = yield* TestApp
      for (let i = 0; i < 3; i += 1) yield* send("/api/whoami", from(client))
      const before = Math.floor(Date.now() / 1000)
      for (const [path, options] of [
        ["/api/raw", { body: "x".repeat(5000) }],
        ["/api/gated", {}],
        ["/api/unknown", {}],
        ["/api/stream", {}]
      ] as const) {
        const answer = yield* send(path, from(client, options))
        assert.strictEqual(answer.status, 429, path)
        assert.deepEqual(answer.json(), {
          error: "too many requests",
          code: "RATE_LIMITED",
          bucket: "public-ip"
        })
        assert.strictEqual(leftIn(answer), "public-ip 0")
        assert.strictEqual(answer.headers["x-ratelimit-limit"], "3")
        assert.strictEqual(answer.headers["x-ratelimit-remaining"], "0")
        const reset = Number(answer.headers["x-ratelimit-reset"])
        assert.isTrue(reset > before && reset <= before + 62)
        const wait = Number(answer.headers["retry-after"])
        assert.isTrue(wait >= 1 && wait <= 60)
        assert.isUndefined(answer.headers["www-authenticate"])
        assert.strictEqual(answer.headers["access-control-allow-origin"], "http://localhost:3000")
        assert.include(String(answer.headers["access-control-expose-headers"]), "ratelimit-policy")
      }
      assert.strictEqual(records.at(-1)?.status, 429)
    })
  )

  it.effect("past the limit is answered as a problem to those who ask for one", () =>
    Effect.gen(function* () {
      const client = newClient()
      const asking = from(client, { headers: { accept: "application/problem+json" } })
      for (let i = 0; i < 3; i += 1) yield* send("/api/whoami", asking)
      const answer = yield* send("/api/whoami", asking)
      assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      assert.include(answer.json() as object, { status: 429, code: "RATE_LIMITED", bucket: "public-ip" })
    })
  )

  it.effect("past the limit is counted by bucket", () =>
    Effect.gen(function* () {
      const { metrics } = yield* TestApp
      const drops = (bucket: string) =>
        Effect.map(metrics.page, (page) =>
          Number(
            new RegExp(`^aitp_control_plane_rate_limit_drops\\{bucket="${bucket}"\\} (\\d+)$`, "m").exec(
              page
            )?.[1]
          )
        )
      const before = yield* drops("public-ip")
      const client = newClient()
      for (let i = 0; i < 5; i += 1) yield* send("/api/whoami", from(client))
      assert.strictEqual(yield* drops("public-ip"), before + 2)
      assert.isAtLeast(yield* drops("api-key"), 0)
      assert.isAtLeast(yield* drops("enroll-ip"), 0)
    })
  )
})

layer(testApp({ ...limited, API_KEYS: "" }), { excludeTestServices: true })(
  "while the service is open, a request",
  (it) => {
    it.effect("with any token is counted by the token, without one by its address", () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* left("/api/gated", from(client, bearing("any"))), "api-key 3")
        assert.strictEqual(yield* left("/api/gated", from(newClient(), bearing("any"))), "api-key 2")
        assert.strictEqual(yield* left("/api/unknown", from(client, bearing("other"))), "api-key 3")
        assert.strictEqual(yield* left("/api/gated", from(client)), "public-ip 2")
        assert.strictEqual(yield* left("/api/gated", from(client, bearing(""))), "public-ip 1")
      })
    )

    it.effect("with an enrollment token is counted by its address", () =>
      Effect.gen(function* () {
        const options = from(newClient(), bearing("token", { method: "POST" }))
        assert.strictEqual(yield* left("/api/redeem", options), "public-ip 2")
      })
    )
  }
)

const production = {
  NODE_ENV: "production",
  API_KEYS: "",
  DATABASE_URL: "postgres://127.0.0.1:1/none",
  CP_AID_SEED_HEX: "5e".repeat(32),
  ENROLLMENT_SECRET: "x".repeat(32)
}

layer(testApp({ ...limited, ...production }), { excludeTestServices: true })(
  "in production without API keys, a request",
  (it) => {
    it.effect("is counted by its address, whatever it bears", () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* left("/api/gated", from(client, bearing("any"))), "public-ip 2")
        assert.strictEqual(yield* outcome("/api/gated", from(client)), "503 SERVER_MISCONFIGURED")
      })
    )
  }
)

layer(testApp({ ...limited, RATE_LIMIT_PUBLIC_PER_IP_MIN: "0", RATE_LIMIT_API_KEY_PER_MIN: "-7" }), {
  excludeTestServices: true
})("a limit of 0 or less", (it) => {
  it.effect("disables its bucket", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* left("/api/whoami", from(newClient())))
      assert.isUndefined(yield* left("/api/gated", from(newClient())))
      assert.isUndefined(yield* left("/api/gated", bearing("key-1")))
    })
  )
})

layer(testApp({ ...limited, RATE_LIMIT_ENABLED: "false" }), { excludeTestServices: true })(
  "with limits off, a request",
  (it) => {
    it.effect("is not counted", () =>
      Effect.gen(function* () {
        const client = newClient()
        for (let i = 0; i < 5; i += 1) {
          const answer = yield* send("/api/whoami", from(client))
          assert.strictEqual(answer.status, 200)
          for (const name of Object.keys(answer.headers)) assert.notInclude(name, "ratelimit")
        }
      })
    )
  }
)
