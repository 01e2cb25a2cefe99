import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { Anchoring } from "../../../src/trust/Anchoring.ts"
import { KeySetRefresh } from "../../../src/trust/KeySetRefresh.ts"
import { KeySets } from "../../../src/trust/KeySets.ts"
import { eventually } from "../../support/db/eventually.ts"
import {
  type Answer,
  asked,
  DISCOVERY,
  type Issuer,
  json,
  jwk,
  saying,
  silent,
  startIssuer
} from "../../support/trust/issuer.ts"
import {
  anchor,
  cached,
  current,
  nearby,
  operator,
  refreshWith,
  TrustSuite
} from "../../support/trust/trust.ts"

const runOnce = Effect.flatMap(KeySetRefresh, (refresh) => refresh.runOnce)

/** Makes an anchor due, as time would. */
const makeDue = (id: string) =>
  Effect.flatMap(
    Db,
    ({ sql }) => sql`update trust_anchors set jwks_due_at = clock_timestamp() where id = ${id}::uuid`
  )

const again = (id: string) => Effect.andThen(makeDue(id), runOnce)

const dueInMs = (id: string) =>
  Effect.flatMap(Db, ({ sql }) =>
    Effect.map(
      sql<{ readonly ms: number }>`
        select (extract(epoch from jwks_due_at - clock_timestamp()) * 1000)::float8 as ms
        from trust_anchors where id = ${id}::uuid`,
      ([row]) => row?.ms ?? Number.NaN
    )
  )

const pathsOf = ({ requests }: Issuer) => requests.map(({ path }) => path)

/** What one attempt at an anchor with this key set URL comes to. */
const attempt = Effect.fnUntraced(function* (jwksUrl: string, issuerUrl = "https://issuer.example") {
  const { id } = yield* anchor({ issuerUrl, jwksUrl })
  yield* runOnce
  const { jwksCachedAt, jwksError } = yield* current(id)
  assert.strictEqual(jwksCachedAt === null, jwksError !== null)
  return jwksError
})

layer(TrustSuite, { timeout: "60 seconds", excludeTestServices: true })("key sets", (it) => {
  it.effect("are fetched from the URL of the anchor, at once when it is new", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      const set = { keys: [jwk()] }
      issuer.answer("/keys", json(set))
      const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/keys` })
      assert.isNull(yield* cached(id))
      assert.strictEqual(yield* runOnce, 1)
      assert.strictEqual(yield* cached(id), JSON.stringify(set))
      assert.deepEqual(pathsOf(issuer), ["/keys"])
      const { jwksCachedAt, jwksError, updatedAt, createdAt } = yield* current(id)
      assert.closeTo(jwksCachedAt?.getTime() ?? 0, Date.now(), 5000)
      assert.isNull(jwksError)
      assert.deepEqual(updatedAt, createdAt)
      assert.strictEqual(yield* runOnce, 0)
      const due = yield* dueInMs(id)
      assert.isTrue(due > 800_000 && due <= 900_000, String(due))
    })
  )

  it.effect("are discovered through the issuer when the anchor names no URL", () =>
    Effect.gen(function* () {
      const [issuer, elsewhere] = [yield* startIssuer, yield* startIssuer]
      elsewhere.answer("/k", json({ keys: [] }))
      issuer.answer(DISCOVERY, json({ issuer: issuer.url, jwks_uri: `${elsewhere.url}/k` }))
      const { id } = yield* anchor({ issuerUrl: issuer.url })
      yield* runOnce
      assert.strictEqual(yield* cached(id), '{"keys":[]}')
      assert.deepEqual([pathsOf(issuer), pathsOf(elsewhere)], [[DISCOVERY], ["/k"]])
    })
  )

  it.effect("are not taken from a discovery document of another issuer, nor without one", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      issuer.answer("/k", json({ keys: [] }))
      const { id } = yield* anchor({ issuerUrl: issuer.url })
      for (const document of [
        { issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/k` },
        { jwks_uri: `${issuer.url}/k` },
        { issuer: issuer.url },
        { issuer: issuer.url, jwks_uri: "file:///etc/passwd" }
      ]) {
        issuer.answer(DISCOVERY, json(document))
        yield* again(id)
        assert.isNotNull((yield* current(id)).jwksError, JSON.stringify(document))
      }
      assert.isFalse(pathsOf(issuer).includes("/k"))
      assert.strictEqual(
        yield* attempt(null as never, "https://issuer.example?tenant=1"),
        "the issuer has no discovery document"
      )
    })
  )

  it.effect("stay as they were through every kind of failure, which the anchor shows", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      const set = { keys: [jwk()] }
      issuer.answer("/keys", json(set))
      const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/keys` })
      yield* runOnce
      const { jwksCachedAt } = yield* current(id)
      const large = Buffer.alloc(1_048_577, " ")
      const failures: ReadonlyArray<readonly [Answer, RegExp]> = [
        [saying(404, "no"), /status 404/],
        [saying(500, "no"), /status 500/],
        [saying(204, ""), /status 204/],
        [saying(304, ""), /status 304/],
        [saying(302, "", { location: `${issuer.url}/other` }), /status 302/],
        [saying(200, "<html>"), /JSON/],
        [saying(200, '{"keys":[{"kty":"oct","k":"AAAA"}]}'), /not public/],
        [saying(200, '{"keys":[]}', { "content-encoding": "gzip" }), /compressed/],
        [saying(200, large), /1 MiB/],
        [silent, /in time/],
        [(_request, response) => void response.writeHead(200).write('{"keys":'), /in time/],
        [(_request, response) => void response.destroy(), /connection/]
      ]
      for (const [answer, reason] of failures) {
        issuer.answer("/keys", answer)
        yield* again(id)
        const shown = yield* current(id)
        assert.match(String(shown.jwksError), reason)
        assert.deepEqual(shown.jwksCachedAt, jwksCachedAt)
        assert.strictEqual(yield* cached(id), JSON.stringify(set))
      }
      assert.isFalse(pathsOf(issuer).includes("/other"))
      const soon = yield* dueInMs(id)
      assert.isAtMost(soon, 900_000)
      issuer.answer("/keys", json({ keys: [] }))
      yield* again(id)
      assert.isNull((yield* current(id)).jwksError)
      assert.strictEqual(yield* cached(id), '{"keys":[]}')
    })
  )

  it.effect("may have 1 MiB, and after a failure are tried again within a minute", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      const empty = '{"keys":[]}'
      issuer.answer("/full", saying(200, empty.padEnd(1_048_576, " ")))
      issuer.answer("/over", saying(200, empty.padEnd(1_048_577, " ")))
      assert.isNull(yield* attempt(`${issuer.url}/full`))
      const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/over` })
      yield* runOnce
      assert.match(String((yield* current(id)).jwksError), /1 MiB/)
      const due = yield* dueInMs(id)
      assert.isTrue(due > 50_000 && due <= 60_000, String(due))
    })
  )

  it.effect("are asked for by tag when they came from the same place, and confirmed by 304", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      const tagged =
        (etag: string): Answer =>
        (request, response) =>
          (request.headers["if-none-match"] === etag ? saying(304, "") : json({ keys: [] }, { etag }))(
            request,
            response
          )
      const leadTo = (path: string) =>
        issuer.answer(DISCOVERY, json({ issuer: issuer.url, jwks_uri: issuer.url + path }))
      issuer.answer("/a", tagged('"v1"'))
      issuer.answer("/b", tagged('"v1"'))
      leadTo("/a")
      const { id } = yield* anchor({ issuerUrl: issuer.url })
      yield* runOnce
      const before = yield* current(id)
      yield* again(id)
      const after = yield* current(id)
      assert.isAbove(after.jwksCachedAt?.getTime() ?? 0, before.jwksCachedAt?.getTime() ?? Infinity)
      assert.strictEqual(yield* cached(id), '{"keys":[]}')
      leadTo("/b")
      yield* again(id)
      const { update } = yield* Anchoring
      yield* update(id, { jwksUrl: `${issuer.url}/b` }, operator)
      yield* runOnce
      const asks = issuer.requests.filter(({ path }) => path !== DISCOVERY)
      assert.deepEqual(
        asks.map(({ headers, path }) => [path, headers["if-none-match"]]),
        [
          ["/a", undefined],
          ["/a", '"v1"'],
          ["/b", undefined],
          ["/b", undefined]
        ]
      )
      assert.isNull((yield* current(id)).jwksError)
    })
  )

  it.effect("are not asked for at addresses that are not public unless these are allowed", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      issuer.answer("/keys", json({ keys: [] }))
      const { port } = new URL(issuer.url)
      const refused = refreshWith({ JWKS_FETCH_TIMEOUT_MS: "1000" })
      for (const url of [
        `${issuer.url}/keys`,
        `http://issuer.test:${port}/keys`,
        "http://169.254.169.254/keys"
      ]) {
        const error = yield* Effect.provide(attempt(url), refused)
        assert.match(String(error), /not public/, url)
      }
      const { id } = yield* anchor({ issuerUrl: issuer.url })
      yield* Effect.provide(runOnce, refused)
      assert.match(String((yield* current(id)).jwksError), /not public/)
      for (const url of ["https://u:p@issuer.example/k", "ftp://issuer.example/k", "https://"]) {
        assert.isNotNull(yield* attempt(url), url)
      }
      assert.deepEqual(pathsOf(issuer), [])
      assert.isNull(yield* attempt(`http://issuer.test:${port}/keys`))
    })
  )

  it.effect("are never fetched over http in production, wherever the issuer is", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      issuer.answer("/keys", json({ keys: [] }))
      issuer.answer(DISCOVERY, json({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }))
      const production = refreshWith({
        ...nearby,
        NODE_ENV: "production",
        DATABASE_URL: "postgres://localhost/unused"
      })
      const error = yield* Effect.provide(attempt(`${issuer.url}/keys`), production)
      assert.strictEqual(error, "the scheme must be https")
      const { id } = yield* anchor({ issuerUrl: issuer.url })
      yield* Effect.provide(runOnce, production)
      assert.strictEqual((yield* current(id)).jwksError, "the issuer is not https")
      const overTls = yield* Effect.provide(
        attempt("https://issuer.example/k", "http://issuer.example"),
        production
      )
      assert.strictEqual(overTls, "the issuer is not https")
      assert.deepEqual(pathsOf(issuer), [])
    })
  )

  it.effect("are fetched by one of all replicas that look at the same time", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      for (let each = 0; each < 20; each += 1) {
        issuer.answer(`/keys-${each}`, json({ keys: [] }))
        yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/keys-${each}` })
      }
      const replicas = [runOnce, Effect.provide(runOnce, refreshWith(nearby)), runOnce]
      const counts = yield* Effect.all(replicas, { concurrency: "unbounded" })
      assert.strictEqual(
        counts.reduce((sum, count) => sum + count, 0),
        20
      )
      assert.lengthOf(issuer.requests, 20)
      assert.lengthOf(new Set(pathsOf(issuer)), 20)
    })
  )

  it.effect("that were fetched from another URL than the anchor has now are not stored", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      const { remove, update } = yield* Anchoring
      for (const change of [
        (id: string) => update(id, { jwksUrl: `${issuer.url}/new` }, operator),
        (id: string) => update(id, { issuerUrl: "https://other.example" }, operator),
        (id: string) => Effect.andThen(remove(id, operator), Effect.void)
      ]) {
        issuer.answer("/new", json({ keys: [] }))
        let release = () => {}
        issuer.answer("/old", (request, response) => {
          release = () => json({ keys: [{ kty: "old" }] })(request, response)
        })
        const before = issuer.requests.length
        const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/old` })
        const running = yield* Effect.forkChild(runOnce)
        yield* asked(issuer, before + 1)
        yield* Effect.orDie(change(id))
        release()
        yield* Fiber.join(running)
        const rows = yield* (yield* Db).sql<{ readonly text: string | null }>`
          select jwks_cache as text from trust_anchors where id = ${id}::uuid`
        assert.notInclude(JSON.stringify(rows), "old")
        yield* (yield* Db).sql`delete from trust_anchors where id = ${id}::uuid`
      }
    })
  )

  it.effect("move to another replica when the one that fetches them stops or dies", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      issuer.answer("/keys", silent)
      const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/keys` })
      const stopping = yield* Effect.forkChild(runOnce)
      yield* asked(issuer, 1)
      yield* Fiber.interrupt(stopping)
      issuer.answer("/keys", json({ keys: [] }))
      assert.strictEqual(yield* runOnce, 1)
      assert.strictEqual(yield* cached(id), '{"keys":[]}')

      // One that dies says nothing; what it may still write afterwards is ignored.
      const { claimDue, settle } = yield* KeySets
      yield* makeDue(id)
      const dead = Option.getOrThrow(yield* claimDue(50))
      assert.strictEqual(yield* runOnce, 0)
      yield* eventually(runOnce, (count) => count === 1)
      assert.isFalse(yield* settle(dead, { _tag: "Failed", reason: "late" }, 1000))
      assert.isNull((yield* current(id)).jwksError)
    })
  )

  it.effect("are fetched as they become due, while other issuers hang", () =>
    Effect.gen(function* () {
      const issuer = yield* startIssuer
      for (let each = 0; each < 8; each += 1) {
        issuer.answer(`/hangs-${each}`, silent)
        yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/hangs-${each}` })
      }
      const slow = refreshWith({ ...nearby, JWKS_FETCH_TIMEOUT_MS: "60000" })
      const running = Effect.flatMap(KeySetRefresh, ({ run }) => run).pipe(Effect.provide(slow))
      yield* Effect.forkScoped(running)
      yield* asked(issuer, 8)
      issuer.answer("/prompt", json({ keys: [] }))
      for (let each = 0; each < 3; each += 1) {
        const { id } = yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `${issuer.url}/prompt` })
        yield* eventually(cached(id), (text) => text !== null, 5000)
      }
    })
  )
})
