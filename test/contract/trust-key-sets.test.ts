import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { unique } from "../support/service/agents.ts"
import { read, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { type MetricSample, parseExposition } from "../support/service/exposition.ts"
import { Control, isRemote, ownService, startOn } from "../support/service/Service.ts"
import { anchor, anchorPath, DOCUMENT, getAnchor } from "../support/service/trust.ts"
import { ask } from "../support/service/webhooks.ts"
import { asked, DISCOVERY, json, jwk, saying, silent, startIssuer } from "../support/trust/issuer.ts"
import { documentFault } from "../support/trust/specified.ts"

const INTERVAL_MS = 1000

const environment = {
  WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8",
  JWKS_REFRESH_INTERVAL_MS: String(INTERVAL_MS),
  JWKS_STALE_AFTER_MS: "1500",
  JWKS_FETCH_TIMEOUT_MS: "1000"
}

const getJwks = (id: string, headers: Record<string, string> = {}) =>
  send(anchorPath(id, "/jwks"), { key: true, headers })

/** The key set once it is there. */
const fetched = (id: string) => eventually(getJwks(id), ({ status }) => status === 200)

const samples = (name: string) =>
  Effect.map(send("/api/metrics"), ({ text }): ReadonlyArray<MetricSample> =>
    parseExposition(text).samples.filter((sample) => sample.name === `aitp_control_plane_${name}`)
  )

describe.skipIf(isRemote)("key sets of trust anchors", () => {
  layer(ownService(environment), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("are served as received soon after an anchor is made, cacheable and with 304", () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        const text = `{ "keys": [${JSON.stringify(jwk())}] }`
        issuer.answer(DISCOVERY, json({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }))
        issuer.answer("/keys", saying(200, text))
        const { id } = yield* anchor({ issuerUrl: issuer.url, namespace: unique("n") })
        const answer = yield* fetched(id)
        assert.strictEqual(answer.text, text)
        assert.strictEqual(answer.headers["content-type"], "application/json")
        assert.strictEqual(answer.headers["cache-control"], "max-age=300")
        const { jwksCachedAt, jwksError, jwksStale } = yield* getAnchor(id)
        assert.closeTo(Date.parse(String(answer.headers["x-jwks-cached-at"])), Date.now(), 20_000)
        assert.match(String(jwksCachedAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.deepEqual([jwksError, jwksStale], [null, false])
        const unchanged = yield* getJwks(id, { "if-none-match": String(answer.headers["etag"]) })
        assert.deepEqual([unchanged.status, unchanged.text], [304, ""])
        assert.isDefined(unchanged.headers["x-jwks-cached-at"])
        const head = yield* ask("HEAD", anchorPath(id, "/jwks"))
        assert.deepEqual([head.status, head.text], [200, ""])
        yield* ask("DELETE", anchorPath(id))
        assertRefused(yield* getJwks(id), 404, "NOT_FOUND")
      })
    )

    it.effect("are fetched once per interval by all replicas together", () =>
      Effect.gen(function* () {
        const { databaseUrl } = yield* Control
        const other = yield* startOn(databaseUrl, environment)
        const issuer = yield* startIssuer
        issuer.answer("/keys", json({ keys: [] }))
        const { id } = yield* anchor({
          issuerUrl: "https://issuer.example",
          namespace: unique("n"),
          jwksUrl: `${issuer.url}/keys`
        })
        yield* asked(issuer, 6)
        const times = issuer.requests.map(({ at }) => at)
        for (const [index, at] of times.entries()) {
          // a tenth is taken off at random
          if (index > 0) assert.isAtLeast(at - (times[index - 1] ?? 0), INTERVAL_MS * 0.85)
        }
        const elsewhere = yield* sendTo(other, anchorPath(id, "/jwks"), { key: true })
        assert.strictEqual(elsewhere.text, '{"keys":[]}')
        yield* other.service.kill
        const seen = issuer.requests.length
        yield* asked(issuer, seen + 2)
        yield* ask("DELETE", anchorPath(id))
      })
    )

    it.effect("stay when the issuer fails, are then shown as stale, and come back", () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        issuer.answer("/keys", json({ keys: [] }))
        const { id } = yield* anchor({
          issuerUrl: "https://issuer.example",
          namespace: unique("n"),
          jwksUrl: `${issuer.url}/keys`
        })
        yield* fetched(id)
        issuer.answer("/keys", saying(503, "down"))
        const failing = yield* eventually(getAnchor(id), ({ jwksStale }) => jwksStale)
        assert.strictEqual(failing.jwksError, "the answer has status 503")
        const answer = yield* getJwks(id)
        assert.strictEqual(answer.text, '{"keys":[]}')
        assert.strictEqual(answer.headers["x-jwks-cached-at"], failing.jwksCachedAt)
        const states = yield* samples("jwks_key_sets")
        assert.isAtLeast(states.find(({ labels }) => labels["state"] === "stale")?.value ?? 0, 1)
        issuer.answer("/keys", json({ keys: [] }))
        const back = yield* eventually(getAnchor(id), ({ jwksError }) => jwksError === null)
        assert.isAbove(Date.parse(back.jwksCachedAt ?? ""), Date.parse(failing.jwksCachedAt ?? ""))
        yield* ask("DELETE", anchorPath(id))
      })
    )

    it.effect("are dropped when a URL changes, and stay when only the label does", () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        issuer.answer("/old", json({ keys: [{ kty: "old" }] }))
        issuer.answer("/hangs", silent)
        const issuerUrl = "https://issuer.example"
        const { id } = yield* anchor({ issuerUrl, namespace: unique("n"), jwksUrl: `${issuer.url}/old` })
        yield* fetched(id)
        const labelled = yield* ask("PATCH", anchorPath(id), { label: "x", jwksUrl: `${issuer.url}/old` })
        assert.isNotNull(labelled.json()["jwksCachedAt"])
        assert.strictEqual((yield* getJwks(id)).status, 200)
        const moved = yield* ask("PATCH", anchorPath(id), { jwksUrl: `${issuer.url}/hangs` })
        assert.isNull(moved.json()["jwksCachedAt"])
        assertRefused(yield* getJwks(id), 503, "JWKS_NOT_CACHED", { issuerUrl })
        issuer.answer("/new", json({ keys: [{ kty: "new" }] }))
        yield* ask("PATCH", anchorPath(id), { jwksUrl: `${issuer.url}/new` })
        assert.include((yield* fetched(id)).text, "new")
        const renamed = yield* ask("PATCH", anchorPath(id), { issuerUrl: "https://other.example" })
        assert.isNull(renamed.json()["jwksCachedAt"])
        yield* ask("DELETE", anchorPath(id))
      })
    )

    it.effect("appear in the trust document, as far as it can say them", () =>
      Effect.gen(function* () {
        const [namespace, issuer] = [unique("n"), yield* startIssuer]
        const key = jwk()
        issuer.answer("/keys", json({ keys: [{ kty: "RSA", n: "AQAB", e: "AQAB" }, key, key] }))
        issuer.answer("/rsa", json({ keys: [{ kty: "RSA", n: "AQAB", e: "AQAB" }] }))
        const made = yield* Effect.forEach(["/keys", "/rsa", "/missing"], (path) =>
          anchor({ issuerUrl: `https://issuer.example${path}`, namespace, jwksUrl: issuer.url + path })
        )
        yield* fetched(made[0]?.id ?? "")
        yield* fetched(made[1]?.id ?? "")
        const document = yield* read(`${DOCUMENT}?namespace=${namespace}`)
        assert.deepEqual(document, {
          trust_anchors: [{ issuer: "https://issuer.example/keys", keys: [key["x"]] }],
          pinned_keys: []
        })
        assert.isUndefined(documentFault(document))
        yield* Effect.forEach(made, ({ id }) => ask("DELETE", anchorPath(id)))
      })
    )

    it.effect("are counted, by what became of each attempt", () =>
      Effect.gen(function* () {
        const outcomes = new Map(
          (yield* samples("jwks_refresh_total")).map(({ labels, value }) => [labels["outcome"], value])
        )
        assert.deepEqual([...outcomes.keys()].toSorted(), [
          "fetched",
          "invalid",
          "refused",
          "status",
          "unchanged",
          "unreachable"
        ])
        assert.isAbove(outcomes.get("fetched") ?? 0, 5)
        assert.isAbove(outcomes.get("status") ?? 0, 0)
        const [overdue] = yield* samples("jwks_refresh_overdue_seconds")
        assert.isBelow(overdue?.value ?? Number.NaN, 10)
        const { process } = yield* Control
        assert.notInclude(process.log(), '"level":"error"')
      })
    )
  })
})

describe.skipIf(isRemote)("a service that may not reach private addresses", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("sends no request to them for key sets, and says so", () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        issuer.answer("/keys", json({ keys: [] }))
        for (const request of [
          { issuerUrl: issuer.url },
          { issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/keys` },
          { issuerUrl: "https://issuer.example", jwksUrl: "https://[::ffff:169.254.169.254]/keys" }
        ]) {
          const { id, issuerUrl } = yield* anchor({ ...request, namespace: unique("n") })
          const { jwksError } = yield* eventually(getAnchor(id), ({ jwksError }) => jwksError !== null)
          assert.match(String(jwksError), /not public/)
          assertRefused(yield* getJwks(id), 503, "JWKS_NOT_CACHED", { issuerUrl })
        }
        assert.lengthOf(issuer.requests, 0)
      })
    )
  })
})
