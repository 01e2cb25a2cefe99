import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Access, open, platform } from "../../../src/access/Access.ts"
import * as RouteTable from "../../../src/http/RouteTable.ts"
import { SampleApi, startingApp, TestApp, testApp } from "../../support/http/TestApp.ts"
import { outcome, send, withKey } from "../../support/http/request.ts"

layer(startingApp(), { excludeTestServices: true })("before the application is there", (it) => {
  it.effect("probes and documents answer", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/livez"), "200 ok")
      const readyz = yield* send("/api/readyz")
      assert.strictEqual(readyz.status, 503)
      assert.deepStrictEqual(readyz.json(), { ready: false, reason: "starting" })
      for (const path of ["/openapi.json", "/errors/NOT_FOUND", "/api/metrics"])
        assert.strictEqual((yield* send(path)).status, 200, path)
    })
  )

  it.effect("every other route is 503 with Retry-After", () =>
    Effect.gen(function* () {
      const answer = yield* send("/api/whoami")
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers["retry-after"], "2")
      assert.propertyVal(answer.json(), "code", "UNAVAILABLE")
    })
  )

  it.effect("access rules, unknown routes and methods are what they will be", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/gated"), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome("/api/gated", withKey()), "503 UNAVAILABLE")
      assert.strictEqual(yield* outcome("/api/nope", withKey()), "404 NOT_FOUND")
      assert.strictEqual(
        yield* outcome("/api/whoami", { method: "PUT", ...withKey() }),
        "405 METHOD_NOT_ALLOWED"
      )
    })
  )
})

layer(testApp(), { excludeTestServices: true })("the gate", (it) => {
  it.effect("closes again, without closing the probes", () =>
    Effect.gen(function* () {
      const { gate } = yield* TestApp
      assert.strictEqual(yield* outcome("/api/whoami"), "200 ok")
      yield* gate.close
      assert.strictEqual(yield* outcome("/api/whoami"), "503 UNAVAILABLE")
      assert.strictEqual(yield* outcome("/api/livez"), "200 ok")
    })
  )
})

const endpoint = HttpApiEndpoint.get("forgotten", "/api/forgotten", { success: Schema.Unknown })
const api = (group: HttpApiGroup.Constraint) => HttpApi.make("api").add(group)

describe("an endpoint without access rule", () => {
  it("stops the start, and is named", () => {
    const group = HttpApiGroup.make("group").add(
      HttpApiEndpoint.get("fine", "/api/fine", { success: Schema.Unknown }).annotate(Access, open),
      endpoint
    )
    assert.throws(() => RouteTable.make(api(group)), "no Access annotation on GET /api/forgotten")
  })

  it("is not saved by a rule on its group", () => {
    const group = HttpApiGroup.make("group").add(endpoint).annotate(Access, platform)
    assert.throws(() => RouteTable.make(api(group)), /no Access annotation/)
  })
})

describe("the route table", () => {
  const table = RouteTable.make(SampleApi)

  it("finds what it lists", () => {
    for (const route of table.routes) {
      const found = table.find(route.template.replace(/:\w+/g, "x"))?.byMethod.get(route.method)
      assert.strictEqual(found?.key, route.key)
    }
  })

  it("knows the body limit of each route", () => {
    assert.strictEqual(table.find("/api/raw")?.byMethod.get("POST")?.bodyLimit, 1000)
    assert.strictEqual(table.find("/api/things")?.byMethod.get("POST")?.bodyLimit, 65_536)
  })

  it("finds nothing for what is no path of it", () => {
    for (const path of ["", "/", "*", "api/livez", "/api/livez/", "//api/livez", "/api/items/"])
      assert.isUndefined(table.find(path), path)
  })
})
