import { createHash, randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { fingerprint } from "../../../src/idempotency/fingerprint.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { mintToken } from "../../../src/registry/enrollment-token.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { type MintedManifest, mintManifest } from "../../support/aitp/mint-manifest.ts"
import { eventually } from "../../support/db/eventually.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { RegistryService, RegistryUrl } from "../../support/idempotency/RegistryService.ts"
import { testConfig } from "../../support/TestPlatform.ts"

const Local = testConfig({ PORT: "0", HOST: "127.0.0.1" })

const Suite = Layer.provide(RegistryService, Local).pipe(
  Layer.provideMerge(IdempotencyKeys.layer),
  Layer.provideMerge(Ledger)
)

/** A replica of its own over the same database. */
const Replica = Layer.fresh(Layer.provide(RegistryService, Local))

const ROUTE = "/api/registry/agents"

const post = Effect.fnUntraced(function* (path: string, body: string, headers: Record<string, string> = {}) {
  const url = yield* RegistryUrl
  return yield* Effect.promise(async () => {
    const response = await fetch(url + path, { method: "POST", body, headers })
    const text = await response.text()
    const { code } = JSON.parse(text) as { readonly code?: string } // every answer here is a JSON object
    return {
      outcome: code === undefined ? String(response.status) : `${response.status} ${code}`,
      text,
      replayed: response.headers.get("idempotency-replayed"),
      retryAfter: response.headers.get("retry-after"),
      contentType: response.headers.get("content-type")
    }
  })
})

const enroll = Effect.fnUntraced(function* ({ text }: MintedManifest) {
  const answer = yield* post("/api/registry/enroll", text)
  return (JSON.parse(answer.text) as { readonly token: string }).token
})

const register = (
  body: string,
  token: string,
  key: string | undefined,
  headers: Record<string, string> = {}
) =>
  post(ROUTE, body, {
    authorization: `Bearer ${token}`,
    ...(key === undefined ? {} : { "idempotency-key": key }),
    ...headers
  })

const fresh = () => `k-${randomUUID()}`

/** An agent that may register. */
const enrolled = Effect.gen(function* () {
  const agent = makeAgent()
  const minted = mintManifest(agent, { display_name: "Ada Ü", offered_capabilities: ["demo.read.doc"] })
  return { agent, body: minted.text, token: yield* enroll(minted) }
})

const registrations = Effect.fnUntraced(function* ({ aid }: TestAgent) {
  const { sql } = yield* Db
  const [row] = yield* sql<{ readonly events: number; readonly acts: number }>`
    select (select count(*)::int from audit_events where aid_a = ${aid}) as events,
      (select count(*)::int from admin_audit_log where target_id = ${aid}) as acts`
  return [row?.events, row?.acts]
})

const rowsOf = Effect.fnUntraced(function* (key: string) {
  const { sql } = yield* Db
  return yield* sql<{ readonly scope: string; readonly state: string }>`
    select scope, state from idempotency_keys where key = ${key}`
})

/** Reserves a key as a replica would that dies right afterwards. */
const crash = Effect.fnUntraced(function* (key: string, token: string, body: string, leaseMs: number) {
  const { reserve } = yield* IdempotencyKeys
  const credentialHash = createHash("sha256").update(token).digest("hex")
  const reservation = { scope: "agents.register", credentialHash, key, leaseToken: randomUUID(), status: 201 }
  yield* reserve(reservation, {
    fingerprint: fingerprint({ method: "POST", path: ROUTE, namespace: undefined, body: Buffer.from(body) }),
    leaseToken: reservation.leaseToken,
    leaseMs
  })
  return reservation
})

layer(Suite, { timeout: "60 seconds", excludeTestServices: true })("registration with a key", (it) => {
  it.effect("registers once and answers the same bytes again, where the spent token alone is refused", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const key = fresh()
      const first = yield* register(body, token, key)
      assert.deepInclude(first, { outcome: "201", replayed: null })
      assert.containsAllKeys(JSON.parse(first.text), ["aid", "registeredAt", "lastEnrolledAt", "manifestUrl"])
      for (const spelling of [key, `"${key}"`]) {
        assert.deepEqual(yield* register(body, token, spelling), { ...first, replayed: "true" })
      }
      assert.strictEqual((yield* register(body, token, undefined)).outcome, "401 TOKEN_REPLAYED")
      assert.deepEqual(yield* registrations(agent), [1, 1])
      assert.deepEqual(yield* rowsOf(key), [{ scope: "agents.register", state: "done" }])
    })
  )

  it.effect("answers from another replica, and after a restart", () =>
    Effect.gen(function* () {
      const { body, token } = yield* enrolled
      const key = fresh()
      const first = yield* register(body, token, key)
      const again = yield* register(body, token, key).pipe(Effect.provide(Replica))
      assert.deepEqual(again, { ...first, replayed: "true" })
    })
  )

  it.effect("answers the same as without a key", () =>
    Effect.gen(function* () {
      const { body, token } = yield* enrolled
      const plain = JSON.parse((yield* register(body, token, undefined)).text)
      const other = yield* enrolled
      const keyed = JSON.parse((yield* register(other.body, other.token, fresh())).text)
      assert.deepEqual(Object.keys(keyed), Object.keys(plain))
      assert.strictEqual(keyed.displayName, "Ada Ü")
    })
  )

  it.effect("refuses another body or namespace under the key", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const key = fresh()
      yield* register(body, token, key)
      assert.strictEqual((yield* register(`${body} `, token, key)).outcome, "422 IDEMPOTENCY_KEY_REUSED")
      const elsewhere = yield* register(body, token, key, { "x-aitp-namespace": "team-a" })
      assert.strictEqual(elsewhere.outcome, "422 IDEMPOTENCY_KEY_REUSED")
      assert.deepEqual(yield* registrations(agent), [1, 1])
    })
  )

  it.effect("keeps the keys of two tokens apart", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* enrolled, yield* enrolled]
      const key = fresh()
      for (const { body, token } of [one, two]) {
        assert.deepInclude(yield* register(body, token, key), { outcome: "201", replayed: null })
      }
      assert.strictEqual((yield* rowsOf(key)).length, 2)
    })
  )

  it.effect("lets one of 64 simultaneous requests with one key in; none of them learns of the others", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const key = fresh()
      const all = yield* Effect.forEach(Array.from({ length: 64 }), () => register(body, token, key), {
        concurrency: 64
      })
      const done = all.filter(({ outcome }) => outcome === "201")
      assert.strictEqual(done.filter(({ replayed }) => replayed === null).length, 1)
      assert.strictEqual(new Set(done.map(({ text }) => text)).size, 1)
      for (const { outcome, retryAfter } of all.filter((answer) => !done.includes(answer))) {
        assert.deepEqual([outcome, retryAfter], ["409 IDEMPOTENCY_IN_PROGRESS", "1"])
      }
      assert.deepEqual(yield* registrations(agent), [1, 1])
    })
  )

  it.effect("is not stuck when a replica dies between reservation and registration", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const [alive, dead] = [fresh(), fresh()]
      yield* crash(alive, token, body, 60_000)
      const waiting = yield* register(body, token, alive)
      assert.deepInclude(waiting, { outcome: "409 IDEMPOTENCY_IN_PROGRESS", retryAfter: "1" })
      yield* crash(dead, token, body, 0)
      assert.deepInclude(yield* register(body, token, dead), { outcome: "201", replayed: null })
      assert.deepEqual(yield* registrations(agent), [1, 1])
    })
  )

  it.effect("decides what is no JSON, too large or no key before it looks at the key", () =>
    Effect.gen(function* () {
      const { body, token } = yield* enrolled
      const key = fresh()
      yield* crash(key, token, body, 60_000)
      for (const text of ["{", "null", "[]", '"text"', "\ufeff{}"]) {
        assert.strictEqual((yield* register(text, token, key)).outcome, "400 BODY_INVALID")
      }
      const large = JSON.stringify({ pad: "x".repeat(65_536) })
      assert.strictEqual((yield* register(large, token, key)).outcome, "413 PAYLOAD_TOO_LARGE")
      for (const unusable of ["", '""', "a\tb", "k".repeat(256)]) {
        assert.strictEqual((yield* register(body, token, unusable)).outcome, "400 IDEMPOTENCY_KEY_INVALID")
      }
      assert.deepEqual(yield* rowsOf(key), [{ scope: "agents.register", state: "in_progress" }])
    })
  )

  it.effect("keeps what it refuses because of the request: 400 and 409, also as a problem", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const now = Math.floor(Date.now() / 1000)
      const expired = mintManifest(agent, { published_at: now - 100, expires_at: now - 1 })
      const accept = { accept: "application/problem+json" }
      const stale = mintManifest(agent, { published_at: now - 10 })
      const staleToken = yield* enroll(stale)
      yield* register(body, token, fresh())
      const cases = [
        { text: "{}", with: token, headers: {}, outcome: "400 BODY_INVALID" },
        { text: '{"manifest":{}}', with: token, headers: {}, outcome: "400 BODY_INVALID" },
        { text: expired.text, with: staleToken, headers: {}, outcome: "400 MANIFEST_EXPIRED" },
        { text: stale.text, with: staleToken, headers: {}, outcome: "409 MANIFEST_STALE" },
        { text: stale.text, with: staleToken, headers: accept, outcome: "409 MANIFEST_STALE" }
      ]
      for (const { headers, outcome, text, with: credential } of cases) {
        const key = fresh()
        const first = yield* register(text, credential, key, headers)
        assert.strictEqual(first.outcome, outcome)
        assert.deepEqual(yield* register(text, credential, key, headers), { ...first, replayed: "true" })
      }
    })
  )

  it.effect("keeps nothing of refused credentials, and lets strangers write nothing at all", () =>
    Effect.gen(function* () {
      const { agent, body, token } = yield* enrolled
      const { body: othersBody } = yield* enrolled
      const key = fresh()
      assert.strictEqual((yield* register(othersBody, token, key)).outcome, "401 TOKEN_INVALID")
      assert.deepEqual(yield* rowsOf(key), [])
      for (const stranger of ["", "forged", `${token.slice(0, -4)}AAAA`]) {
        assert.strictEqual((yield* register(body, stranger, key)).outcome, "401 TOKEN_INVALID")
        assert.strictEqual((yield* register('{"manifest":{}}', stranger, key)).outcome, "400 BODY_INVALID")
        assert.deepEqual(yield* rowsOf(key), [])
      }
      assert.strictEqual((yield* register(body, token, key)).outcome, "201")
      const late = fresh()
      assert.strictEqual((yield* register(body, token, late)).outcome, "401 TOKEN_REPLAYED")
      assert.deepEqual(yield* rowsOf(late), [])
      assert.deepEqual(yield* registrations(agent), [1, 1])
    })
  )

  it.effect("registers nobody for a request whose key was taken over while it waited", () =>
    Effect.gen(function* () {
      const { sql, withTransaction } = yield* Db
      const { agent, body, token } = yield* enrolled
      const key = fresh()
      const held = yield* Deferred.make<void>()
      // forked out here, since what is forked inside belongs to the transaction
      const paused = yield* Effect.forkChild(Effect.andThen(Deferred.await(held), register(body, token, key)))
      yield* withTransaction(
        Effect.gen(function* () {
          yield* sql`select from log_head for update`
          yield* Deferred.succeed(held, undefined)
          const waiting = sql`select 1 from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))`
          yield* eventually(waiting, (rows) => rows.length === 1)
          yield* sql`update idempotency_keys set lease_token = gen_random_uuid() where key = ${key}`
        })
      )
      assert.strictEqual((yield* Fiber.join(paused)).outcome, "409 IDEMPOTENCY_IN_PROGRESS")
      assert.deepEqual(yield* registrations(agent), [0, 0])
      assert.strictEqual((yield* register(body, token, undefined)).outcome, "201")
    })
  )

  it.effect("still answers from what is stored when the token has expired, and keeps no other answer", () =>
    Effect.gen(function* () {
      const { agent, body } = yield* enrolled
      const secret = Redacted.make("enrollment-secret-of-the-tests-0123456789")
      const now = Math.floor(Date.now() / 1000)
      const expired = mintToken(secret, {
        sub: agent.aid,
        scope: "register",
        iat: now - 301,
        exp: now - 1,
        jti: randomUUID(),
        mh: ""
      })
      const { complete } = yield* IdempotencyKeys
      const key = fresh()
      const reservation = yield* crash(key, expired, body, 60_000)
      const bytes = Buffer.from('{"aid":"as it was"}')
      yield* complete({
        reservation,
        answer: { status: 201, body: { bytes, mediaType: "application/json" } }
      })
      const replay = yield* register(body, expired, key)
      assert.deepInclude(replay, { outcome: "201", replayed: "true", text: bytes.toString() })
      const other = fresh()
      assert.strictEqual((yield* register(body, expired, other)).outcome, "401 TOKEN_INVALID")
      assert.deepEqual(yield* rowsOf(other), [])
    })
  )
})
