import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { enrollmentToken, open, platform } from "../../../src/access/Access.ts"
import * as ApiKeys from "../../../src/http/ApiKeys.ts"
import { TestApp, testApp } from "../../support/http/TestApp.ts"
import { type Options, outcome, send, withKey } from "../../support/http/request.ts"

const kindOf = (options?: Options) =>
  Effect.map(send("/api/whoami", options), (answer) => (answer.json() as { readonly kind: string }).kind)

const authorization = (value: string): Options => ({ headers: { authorization: value } })

layer(testApp(), { excludeTestServices: true })("an API key", (it) => {
  it.effect("opens gated routes after Bearer in any case, and bare", () =>
    Effect.gen(function* () {
      for (const value of ["Bearer key-1", "bearer key-2", "BEARER  key-1", "key-2"])
        assert.strictEqual(yield* outcome("/api/gated", authorization(value)), "200 ok", value)
    })
  )

  it.effect("is refused when missing, unknown, partial, of another scheme or listed as one text", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/gated"), "401 INVALID_API_KEY")
      for (const value of [
        "Bearer nope",
        "key-",
        "key-11",
        "Bearer",
        "Basic key-1",
        "Bearer key-1 x",
        "key-1,key-2"
      ])
        assert.strictEqual(yield* outcome("/api/gated", authorization(value)), "401 INVALID_API_KEY", value)
    })
  )

  it.effect("is taken from no query parameter and no cookie", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* outcome("/api/gated?api_key=key-1&authorization=key-1"),
        "401 INVALID_API_KEY"
      )
      assert.strictEqual(
        yield* outcome("/api/gated", { headers: { cookie: "authorization=key-1" } }),
        "401 INVALID_API_KEY"
      )
    })
  )

  it.effect("refusal asks for a bearer", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* send("/api/gated")).headers["www-authenticate"], "Bearer")
    })
  )

  it.effect("opens routes with scopes", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/scoped"), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/scoped", withKey()), "200 ok")
    })
  )

  it.effect("names its holder by the first 16 hex digits of its digest", () =>
    Effect.gen(function* () {
      const { actor, kind } = (yield* send("/api/gated", withKey())).json() as Record<string, string>
      assert.strictEqual(kind, "platform")
      assert.match(actor ?? "", /^apikey:[0-9a-f]{16}$/)
    })
  )

  it.effect("that is wrong is ignored on public routes, a valid one makes a platform principal", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* kindOf(), "anonymous")
      assert.strictEqual(yield* kindOf(withKey("wrong")), "anonymous")
      assert.strictEqual(yield* kindOf(withKey("key-2")), "platform")
    })
  )

  it.effect("means nothing on the route of the enrollment token", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/redeem", { method: "POST", ...withKey() })
      assert.strictEqual((answer.json() as { readonly kind: string }).kind, "anonymous")
    })
  )

  it.effect("is checked before the body is looked at", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/nope", { body: "x".repeat(200_000) })
      assert.strictEqual(answer.status, 401)
    })
  )

  it.effect("appears in no log record", () =>
    Effect.gen(function* () {
      yield* send("/api/gated", withKey())
      assert.notInclude(JSON.stringify((yield* TestApp).records), "key-1")
    })
  )
})

layer(testApp({ API_KEYS: "" }), { excludeTestServices: true })(
  "without API keys, outside production",
  (it) => {
    it.effect("gated routes are open and unknown ones are 404", () =>
      Effect.gen(function* () {
        const answer = yield* send("/api/gated")
        assert.deepStrictEqual(answer.status, 200)
        assert.include(answer.text, '"actor":"anonymous"')
        assert.strictEqual(yield* outcome("/api/gated", withKey("anything")), "200 ok")
        assert.strictEqual(yield* outcome("/api/nope"), "404 NOT_FOUND")
      })
    )
  }
)

describe("without API keys in production", () => {
  const keys = ApiKeys.make([], true)

  it("gated and unknown routes are 503 SERVER_MISCONFIGURED, whatever is sent", () => {
    for (const admission of [
      keys.admit(undefined, platform),
      keys.admit("Bearer x", platform),
      keys.admitUnknown(undefined)
    ])
      assert.propertyVal(admission, "code", "SERVER_MISCONFIGURED")
  })

  it("public routes and the token route still answer", () => {
    assert.propertyVal(keys.admit(undefined, open), "kind", "anonymous")
    assert.propertyVal(keys.admit("token", enrollmentToken), "kind", "anonymous")
  })
})

describe("keys", () => {
  it("may hold any characters, and an empty value is none of them", () => {
    const keys = ApiKeys.make([Redacted.make("Bearer"), Redacted.make("ключ")], true)
    assert.propertyVal(keys.admit("Bearer ключ", platform), "kind", "platform")
    assert.propertyVal(keys.admit("", platform), "code", "INVALID_API_KEY")
  })
})
