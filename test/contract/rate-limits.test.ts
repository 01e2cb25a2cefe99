import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { agentPath, joined, newAgent, unique } from "../support/service/agents.ts"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { type Answer, type Options, outcomeOf, raw, send } from "../support/service/client.ts"
import { assertEnvelope } from "../support/service/envelope.ts"
import { parseExposition } from "../support/service/exposition.ts"
import { isRemote, ownService } from "../support/service/Service.ts"
import { eventually } from "../support/db/eventually.ts"

const KEYS = Array.from({ length: 20 }, (_, i) => `rate-limit-test-key-${i}`)
const REGISTRY = "/api/registry/agents"
const HISTORY = "/api/events/history"

const limited = {
  RATE_LIMIT_ENABLED: "true",
  RATE_LIMIT_ENROLLMENT_PER_IP_MIN: "2",
  RATE_LIMIT_PUBLIC_PER_IP_MIN: "4",
  RATE_LIMIT_API_KEY_PER_MIN: "6",
  CLIENT_IP_HEADER: "X-Client-IP",
  TRUSTED_PROXY_HOPS: "2",
  API_KEYS: KEYS.join(",")
}

let clients = 0
let keys = 0
/** An address that has sent nothing yet. */
const newClient = () => `203.0.113.${(clients += 1)}`
/** A key that nobody has used yet. */
const newKey = () => KEYS[keys++] ?? ""

const from = (client: string, options: Options = {}): Options => ({
  ...options,
  headers: { ...options.headers, "x-client-ip": client }
})
const bearing = (key: string, options: Options = {}): Options => ({
  ...options,
  headers: { ...options.headers, authorization: `Bearer ${key}` }
})
const post = (body: unknown): Options => ({ method: "POST", body })

/** Bucket and what is left in it, as an answer tells; undefined when it tells nothing. */
const leftIn = ({ headers }: Answer): string | undefined => {
  const [, bucket, left] = /^"([a-z-]+)";r=(\d+);t=\d+$/.exec(String(headers["ratelimit"])) ?? []
  return bucket === undefined ? undefined : `${bucket} ${left}`
}
const left = (path: string, options?: Options) => Effect.map(send(path, options), leftIn)
const outcome = (path: string, options?: Options) => Effect.map(send(path, options), outcomeOf)

const assertLimited = (answer: Answer, bucket: string) => {
  assert.strictEqual(answer.status, 429, answer.text)
  assertEnvelope(answer, "RATE_LIMITED")
  assert.strictEqual(answer.json()["bucket"], bucket)
  assert.strictEqual(answer.headers["x-ratelimit-remaining"], "0")
  assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/)
}

describe.skipIf(isRemote)("rate limits", () => {
  layer(ownService(limited), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect(
      "bucket enroll-ip: the path of enrolment, any method, with or without key, by client address",
      () =>
        Effect.gen(function* () {
          const path = "/api/registry/enroll"
          const client = newClient()
          const { text } = mintManifest(newAgent())
          const enrolled = yield* send(path, from(client, post(text)))
          assert.strictEqual(enrolled.status, 200, enrolled.text)
          assert.strictEqual(leftIn(enrolled), "enroll-ip 1")
          assert.strictEqual(enrolled.headers["ratelimit-policy"], '"enroll-ip";q=2;w=60')
          assert.strictEqual(yield* outcome(path, from(client, bearing(newKey()))), "405 METHOD_NOT_ALLOWED")
          assertLimited(yield* send(path, from(client, post(text))), "enroll-ip")
          assertLimited(yield* send(path, from(client, bearing(newKey(), post(text)))), "enroll-ip")
          assert.strictEqual(yield* left(path, from(newClient(), post(text))), "enroll-ip 1")
          assert.strictEqual(yield* left(REGISTRY, from(client)), "public-ip 3")
        })
    )

    it.effect(
      "bucket public-ip: other public requests without a valid key, also register, by client address",
      () =>
        Effect.gen(function* () {
          const cases: ReadonlyArray<readonly [path: string, outcome: string, options?: Options]> = [
            [REGISTRY, "200 ok"],
            [REGISTRY, "200 ok", bearing("no-such-key")],
            [REGISTRY, "200", { method: "HEAD" }],
            [agentPath(newAgent().aid), "404 NOT_FOUND"],
            [agentPath(newAgent().aid, "/manifest"), "404 NOT_FOUND"],
            ["/api/well-known/aitp-manifest", "200 ok"],
            ["/api/aitp/handshake/hello", "403 HANDSHAKE_NOT_SUPPORTED", { method: "PUT" }],
            [REGISTRY, "401 TOKEN_INVALID", bearing("no-such-token", post(mintManifest(newAgent()).text))],
            [REGISTRY, "401 TOKEN_INVALID", bearing(KEYS[0] ?? "", post(mintManifest(newAgent()).text))]
          ]
          for (const [path, expected, options] of cases) {
            const answer = yield* send(path, from(newClient(), options))
            assert.strictEqual(outcomeOf(answer), expected)
            assert.strictEqual(leftIn(answer), "public-ip 3", `${path} ${expected}`)
          }
        })
    )

    it.effect("bucket public-ip: requests that fail authentication, counted before they are refused", () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* outcome(HISTORY, from(client)), "401 INVALID_API_KEY")
        assert.strictEqual(
          yield* outcome("/api/none", from(client, bearing("guess-1"))),
          "401 INVALID_API_KEY"
        )
        assert.strictEqual(yield* left(REGISTRY, from(client, { method: "PATCH" })), "public-ip 1")
        assert.strictEqual(yield* left("/api/events", from(client, post("["))), "public-ip 0")
        assertLimited(yield* send(HISTORY, from(client, bearing("guess-2"))), "public-ip")
        assertLimited(yield* send(REGISTRY, from(client)), "public-ip")
        assert.strictEqual(yield* outcome(HISTORY, from(client, bearing(newKey()))), "200 ok")
      })
    )

    it.effect("bucket api-key: gated and public requests with a valid key, by key, from everywhere", () =>
      Effect.gen(function* () {
        const key = newKey()
        assert.strictEqual(yield* left(HISTORY, from(newClient(), bearing(key))), "api-key 5")
        assert.strictEqual(yield* left(REGISTRY, from(newClient(), bearing(key))), "api-key 4")
        assert.strictEqual(yield* left(REGISTRY, { headers: { authorization: key } }), "api-key 3")
        assert.strictEqual(yield* left("/api/none", from(newClient(), bearing(key))), "api-key 2")
        assert.strictEqual(yield* left(HISTORY, bearing(key, { method: "DELETE" })), "api-key 1")
        assert.strictEqual(yield* left("/api/events", bearing(key, post("["))), "api-key 0")
        assertLimited(yield* send(REGISTRY, from(newClient(), bearing(key))), "api-key")
        assert.strictEqual(yield* left(HISTORY, bearing(newKey())), "api-key 5")
      })
    )

    it.effect("bucket api-key: what asks for a key outside /api/", () =>
      Effect.gen(function* () {
        const [client, key] = [newClient(), newKey()]
        const bundle = "/log/tile/entries/000"
        const refused = yield* send(bundle, from(client))
        assert.strictEqual(outcomeOf(refused), "401 INVALID_API_KEY")
        assert.strictEqual(leftIn(refused), "public-ip 3")
        for (const expected of [5, 4, 3, 2, 1, 0]) {
          assert.strictEqual(yield* left(bundle, from(client, bearing(key))), `api-key ${expected}`)
        }
        assertLimited(yield* send(bundle, from(client, bearing(key))), "api-key")
        assertLimited(yield* send(HISTORY, from(client, bearing(key))), "api-key")
      })
    )

    it.effect("no bucket: probes, metrics, preflights and what is public outside /api/", () =>
      Effect.gen(function* () {
        const client = newClient()
        for (const [path, options] of [
          ["/api/health", {}],
          ["/api/livez", {}],
          ["/api/livez", { method: "POST" }],
          ["/api/readyz", { method: "HEAD" }],
          ["/api/metrics", {}],
          [REGISTRY, { method: "OPTIONS" }],
          ["/api/registry/enroll", { method: "OPTIONS" }],
          ["/openapi.json", {}],
          ["/.well-known/aitp-manifest", {}],
          ["/errors/RATE_LIMITED", {}],
          ["/log/checkpoint", {}],
          ["/log/tile/0/000", {}],
          ["/nothing", {}]
        ] as const) {
          for (let i = 0; i < 5; i += 1) {
            const { headers, status } = yield* send(path, from(client, options))
            assert.notStrictEqual(status, 429, path)
            assert.notMatch(Object.keys(headers).join(), /(?:^|,)(?:x-)?ratelimit/, path)
          }
        }
        assert.strictEqual(yield* left(REGISTRY, from(client)), "public-ip 3")
      })
    )

    it.effect("headers: on every answer of a limited route, whatever its status", () =>
      Effect.gen(function* () {
        const { aid } = yield* joined({}, unique("limits"))
        const record = yield* send(agentPath(aid), from(newClient()))
        const etag = String(record.headers["etag"])
        for (const [path, status, options] of [
          [REGISTRY, 200, {}],
          [agentPath(aid), 304, { headers: { "if-none-match": etag } }],
          [`${REGISTRY}?limit=1&offset=200000`, 400, {}],
          [HISTORY, 401, {}],
          [agentPath("none"), 404, {}]
        ] as const) {
          const now = Math.floor(Date.now() / 1000)
          const { headers, ...answer } = yield* send(path, from(newClient(), options))
          assert.strictEqual(answer.status, status, path)
          assert.strictEqual(headers["ratelimit-policy"], '"public-ip";q=4;w=60')
          assert.match(String(headers["ratelimit"]), /^"public-ip";r=3;t=60$/)
          assert.strictEqual(headers["x-ratelimit-limit"], "4")
          assert.strictEqual(headers["x-ratelimit-remaining"], "3")
          assert.isAtLeast(Number(headers["x-ratelimit-reset"]), now + 60)
          assert.isAtMost(Number(headers["x-ratelimit-reset"]), now + 65)
          assert.strictEqual(headers["retry-after"], undefined)
          assert.match(
            String(headers["access-control-expose-headers"]),
            /retry-after,ratelimit,ratelimit-policy,x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset/
          )
        }
      })
    )

    it.effect("an event stream costs one request, at opening", () =>
      Effect.gen(function* () {
        const key = newKey()
        const opened = yield* raw(
          `GET /api/events/stream HTTP/1.0\r\nhost: x\r\nauthorization: Bearer ${key}\r\n\r\n`
        ).pipe(Effect.timeoutOption("300 millis"))
        assert.strictEqual(opened._tag, "None") // still open
        assert.strictEqual(yield* left(HISTORY, bearing(key)), "api-key 4")
      })
    )

    it.effect("past the limit nothing is run: neither route nor body is looked at", () =>
      Effect.gen(function* () {
        const [key, reader] = [newKey(), newKey()]
        const sessionId = crypto.randomUUID()
        const report = [{ type: "handshake.started", sessionId, source: "test" }]
        for (let i = 0; i < 6; i += 1) yield* send(HISTORY, bearing(key))
        assertLimited(yield* send("/api/events", bearing(key, post(report))), "api-key")
        assertLimited(yield* send("/api/events", bearing(key, post("x".repeat(400_000)))), "api-key")
        assertLimited(yield* send("/api/none", bearing(key)), "api-key")
        assertLimited(yield* send(HISTORY, bearing(key, { method: "DELETE" })), "api-key")
        assertLimited(yield* send("/api/events/stream", bearing(key)), "api-key")
        const history = yield* send(`${HISTORY}?session_id=${sessionId}`, bearing(reader))
        assert.strictEqual(history.json()["count"], 0)
      })
    )

    it.effect("429: the same for requests all at once", () =>
      Effect.gen(function* () {
        const client = newClient()
        const answers = yield* Effect.forEach(
          Array.from({ length: 40 }),
          () => send(REGISTRY, from(client)),
          { concurrency: 40 }
        )
        assert.strictEqual(answers.filter(({ status }) => status === 200).length, 4)
        assert.strictEqual(answers.filter(({ status }) => status === 429).length, 36)
      })
    )

    it.effect("metrics: rate_limit_drops by bucket, rate_limit_store_errors_total", () =>
      Effect.gen(function* () {
        const client = newClient()
        const drops = Effect.map(send("/api/metrics"), ({ text }) => {
          const { samples, types } = parseExposition(text)
          assert.strictEqual(types.get("aitp_control_plane_rate_limit_drops"), "counter")
          assert.strictEqual(types.get("aitp_control_plane_rate_limit_store_errors_total"), "counter")
          return Object.fromEntries(
            samples
              .filter(({ name }) => name === "aitp_control_plane_rate_limit_drops")
              .map(({ labels, value }) => [labels["bucket"] ?? "", value])
          )
        })
        const before = yield* drops
        assert.sameMembers(Object.keys(before), ["enroll-ip", "public-ip", "api-key"])
        for (let i = 0; i < 7; i += 1) yield* send(REGISTRY, from(client))
        assert.deepEqual(yield* drops, { ...before, "public-ip": (before["public-ip"] ?? 0) + 3 })
      })
    )

    it.effect("client address: (1) the first value of CLIENT_IP_HEADER, before all others", () =>
      Effect.gen(function* () {
        const client = newClient()
        const others = { "x-forwarded-for": "198.51.100.1, 198.51.100.2", "x-real-ip": "198.51.100.3" }
        assert.strictEqual(yield* left(REGISTRY, from(client, { headers: others })), "public-ip 3")
        assert.strictEqual(yield* left(REGISTRY, from(`${client}, 198.51.100.4`)), "public-ip 2")
      })
    )

    it.effect(
      "client address: (2) the n-th entry of X-Forwarded-For from the right, however many are before it",
      () =>
        Effect.gen(function* () {
          const client = newClient()
          for (const [index, list] of [
            `${client}, 10.0.0.1`,
            `198.51.100.1, ${client}, 10.0.0.1`,
            [`198.51.100.1, garbage, [::1]:1`, `${client}:4711, 10.0.0.2`],
            ["198.51.100.1", client, "10.0.0.3"]
          ].entries())
            assert.strictEqual(
              yield* left(REGISTRY, { headers: { "x-forwarded-for": list, "x-real-ip": "198.51.100.2" } }),
              `public-ip ${3 - index}`
            )
        })
    )

    it.effect("client address: (3) X-Real-IP when X-Forwarded-For has too few entries", () =>
      Effect.gen(function* () {
        const client = newClient()
        const spoofed = { "x-forwarded-for": "198.51.100.9", "x-real-ip": client }
        assert.strictEqual(yield* left(REGISTRY, { headers: spoofed }), "public-ip 3")
        assert.strictEqual(yield* left(REGISTRY, { headers: { "x-real-ip": client } }), "public-ip 2")
      })
    )

    it.effect("client address: mapped IPv6 is the IPv4 address, other IPv6 is its /64", () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* left(REGISTRY, from(`::ffff:${client}`)), "public-ip 3")
        assert.strictEqual(yield* left(REGISTRY, from(client)), "public-ip 2")
        assert.strictEqual(yield* left(REGISTRY, from("2001:db8:7:7::1")), "public-ip 3")
        assert.strictEqual(yield* left(REGISTRY, from("[2001:DB8:7:7:ffff::2]:443")), "public-ip 2")
        assert.strictEqual(yield* left(REGISTRY, from("2001:db8:7:8::1")), "public-ip 3")
      })
    )
  })

  layer(ownService({ RATE_LIMIT_ENABLED: "" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    it.effect(
      "defaults: 5, 60 and 600 in 60 s, on; client address: (4) the peer, whatever headers claim",
      () =>
        Effect.gen(function* () {
          const claims = ["203.0.113.1", "203.0.113.2", "203.0.113.3"].map((claim) => ({
            "x-forwarded-for": claim,
            "x-real-ip": claim,
            "x-client-ip": claim,
            "cf-connecting-ip": claim,
            forwarded: `for=${claim}`
          }))
          for (const [index, headers] of claims.entries()) {
            const answer = yield* send(REGISTRY, { headers })
            assert.strictEqual(answer.headers["ratelimit-policy"], '"public-ip";q=60;w=60')
            assert.strictEqual(leftIn(answer), `public-ip ${59 - index}`)
          }
          const keyed = yield* send(HISTORY, { key: true })
          assert.strictEqual(keyed.headers["ratelimit-policy"], '"api-key";q=600;w=60')
          const enrolled = yield* send("/api/registry/enroll", { body: "{}" })
          assert.strictEqual(enrolled.headers["ratelimit-policy"], '"enroll-ip";q=5;w=60')
        })
    )
  })

  const open = {
    RATE_LIMIT_ENABLED: "true",
    RATE_LIMIT_ENROLLMENT_PER_IP_MIN: "0",
    RATE_LIMIT_PUBLIC_PER_IP_MIN: "3",
    RATE_LIMIT_API_KEY_PER_MIN: "2",
    RATE_LIMIT_WINDOW_MS: "2500",
    CLIENT_IP_HEADER: "X-Client-IP",
    API_KEYS: ""
  }
  layer(ownService(open), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("open mode: with a token by that token, without by address", () =>
      Effect.gen(function* () {
        const client = newClient()
        assert.strictEqual(yield* left(HISTORY, from(client, bearing("one"))), "api-key 1")
        assert.strictEqual(yield* left(HISTORY, from(client, bearing("two"))), "api-key 1")
        assert.strictEqual(yield* left(HISTORY, from(client)), "public-ip 2")
      })
    )

    it.effect("a limit of 0 disables its bucket", () =>
      Effect.gen(function* () {
        for (let i = 0; i < 8; i += 1) {
          const answer = yield* send("/api/registry/enroll", from("203.0.113.250", post("{}")))
          assert.strictEqual(outcomeOf(answer), "400 MANIFEST_INVALID")
          assert.isUndefined(leftIn(answer))
        }
      })
    )

    it.effect("the window begins with the first request, keeps its end, and is followed by a new one", () =>
      Effect.gen(function* () {
        const client = newClient()
        const first = yield* send(REGISTRY, from(client))
        assert.strictEqual(first.headers["ratelimit-policy"], '"public-ip";q=3;w=3')
        const startedAt = Date.now()
        let last = first
        while (last.status === 200 && Date.now() - startedAt < 2000) {
          last = yield* send(REGISTRY, from(client))
          assert.strictEqual(last.headers["x-ratelimit-reset"], first.headers["x-ratelimit-reset"])
        }
        assertLimited(last, "public-ip")
        const next = yield* eventually(send(REGISTRY, from(client)), ({ status }) => status === 200)
        assert.isAtLeast(Date.now() - startedAt, 2300)
        assert.strictEqual(leftIn(next), "public-ip 2")
      })
    )
  })
})
