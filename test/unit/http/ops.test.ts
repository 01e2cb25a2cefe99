import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { format, type Family } from "../../../src/ops/Exposition.ts"
import { catalogue } from "../../../src/wire/catalogue.ts"
import { TestApp, testApp } from "../../support/http/TestApp.ts"
import { outcome, send } from "../../support/http/request.ts"

const linesOf = (samples: Family["samples"]) =>
  format([{ name: "n", help: "A\nB", type: "gauge", samples }], [])
    .split("\n")
    .slice(2, -1)

const healthJson = { headers: { accept: "application/health+json" } }

layer(testApp(), { excludeTestServices: true })("probes", (it) => {
  it.effect("livez is 200 whatever else is wrong", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* send("/api/livez")).json(), { ok: true })
    })
  )

  it.effect("health follows the database, with all keys either way", () =>
    Effect.gen(function* () {
      const { health } = yield* TestApp
      const keys = ["ok", "service", "aid", "db", "version", "uptimeSeconds"]
      const down = yield* send("/api/health")
      assert.strictEqual(down.status, 503)
      assert.deepInclude(down.json(), { ok: false, db: "error", service: "aitp-control-plane", aid: null })
      assert.deepStrictEqual(Object.keys(down.json() as object), keys)

      health.attachDatabase(Effect.void)
      health.setAid("aid:pubkey:abc")
      yield* Effect.sleep("260 millis") // probes may reuse an outcome for 250 ms
      const up = yield* send("/api/health")
      assert.strictEqual(up.status, 200)
      assert.deepInclude(up.json(), { ok: true, db: "ok", aid: "aid:pubkey:abc" })
      assert.deepStrictEqual(Object.keys(up.json() as object), keys)
    })
  )

  it.effect("readyz tells the first reason that holds, and 200 when none does", () =>
    Effect.gen(function* () {
      const { readiness } = yield* TestApp
      const body = Effect.map(send("/api/readyz"), (answer) => answer.json())
      assert.deepStrictEqual(yield* body, { ready: false, reason: "starting" })
      readiness.raise("manifest_expired")
      readiness.clear("starting")
      assert.deepStrictEqual(yield* body, { ready: false, reason: "manifest_expired" })
      readiness.raise("migrations_pending")
      assert.deepStrictEqual(yield* body, { ready: false, reason: "migrations_pending" })
      readiness.clear("migrations_pending")
      readiness.clear("manifest_expired")
      assert.deepStrictEqual(yield* body, { ready: true })
    })
  )

  it.effect("readyz tells of the database in general words", () =>
    Effect.gen(function* () {
      const { health, readiness } = yield* TestApp
      readiness.clear("starting")
      health.attachDatabase(Effect.fail("password of postgres://user:secret@host is wrong"))
      yield* Effect.sleep("260 millis")
      const answer = yield* send("/api/readyz")
      assert.strictEqual(answer.status, 503)
      assert.deepStrictEqual(answer.json(), {
        ready: false,
        reason: "database_unavailable",
        error: "database is unavailable"
      })
      health.attachDatabase(Effect.void)
      yield* Effect.sleep("260 millis")
    })
  )

  it.effect("a database that never answers fails the probe after two seconds", () =>
    Effect.gen(function* () {
      const { health } = yield* TestApp
      health.attachDatabase(Effect.never)
      yield* Effect.sleep("260 millis")
      const before = performance.now()
      assert.strictEqual((yield* send("/api/health")).status, 503)
      assert.isBelow(performance.now() - before, 2500)
      health.attachDatabase(Effect.void)
    })
  )

  it.effect("answer health+json with the same status for who asks for it", () =>
    Effect.gen(function* () {
      const { readiness } = yield* TestApp
      readiness.raise("manifest_expired")
      const answer = yield* send("/api/readyz", healthJson)
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers["content-type"], "application/health+json")
      assert.deepInclude(answer.json(), { status: "fail" })
      readiness.clear("manifest_expired")
      assert.propertyVal((yield* send("/api/health", healthJson)).json(), "status", "pass")
    })
  )

  it.effect(
    "readyz is 503 shutting_down in a drain, while health and all routes answer and connections close",
    () =>
      Effect.gen(function* () {
        const { drain } = yield* TestApp
        assert.notStrictEqual(
          (yield* send("/api/livez", { headers: { connection: "keep-alive" } })).headers.connection,
          "close"
        )
        yield* drain.begin
        assert.deepStrictEqual((yield* send("/api/readyz")).json(), { ready: false, reason: "shutting_down" })
        assert.strictEqual(yield* outcome("/api/health"), "200 ok")
        const answer = yield* send("/api/whoami", { headers: { connection: "keep-alive" } })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.headers.connection, "close")
      })
  )
})

layer(testApp({ METRICS_TOKEN: "scraper" }), { excludeTestServices: true })("metrics", (it) => {
  const token = { headers: { authorization: "Bearer scraper" } }

  it.effect("need the token where one is set, and an API key is none", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/metrics"), "401 INVALID_API_KEY")
      const withKey = { headers: { authorization: "Bearer key-1" } }
      assert.strictEqual(yield* outcome("/api/metrics", withKey), "401 INVALID_API_KEY")
      const answer = yield* send("/api/metrics", token)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    })
  )

  it.effect("say db_up 0 while the database is down, and leave out what comes from it", () =>
    Effect.gen(function* () {
      const { health, metrics } = yield* TestApp
      const name = "aitp_control_plane_agents_active"
      metrics.register(Effect.succeed([{ name, help: "Agents.", type: "gauge", samples: [{ value: 3 }] }]))
      const down = (yield* send("/api/metrics", token)).text
      assert.include(down, "aitp_control_plane_db_up 0\n")
      assert.notInclude(down, `${name} `)
      assert.match(down, /^# database unavailable/m)

      health.attachDatabase(Effect.void)
      yield* Effect.sleep("260 millis")
      const up = (yield* send("/api/metrics", token)).text
      assert.include(up, "aitp_control_plane_db_up 1\n")
      assert.include(up, `${name} 3\n`)
      assert.notMatch(up, /^# database/m)
    })
  )

  it.effect("leave out a series that cannot be read, and keep the others", () =>
    Effect.gen(function* () {
      const { health, metrics } = yield* TestApp
      health.attachDatabase(Effect.void)
      metrics.register(Effect.fail("no such table"))
      metrics.register(
        Effect.succeed([{ name: "kept", help: "Kept.", type: "gauge", samples: [{ value: 1 }] }])
      )
      yield* Effect.sleep("260 millis")
      const answer = yield* send("/api/metrics", token)
      assert.strictEqual(answer.status, 200)
      assert.include(answer.text, "kept 1\n")
    })
  )

  it.effect("have HELP and TYPE for every name, and plain decimals", () =>
    Effect.gen(function* () {
      yield* send("/api/whoami")
      const page = (yield* send("/api/metrics", token)).text
      const names = new Set<string>()
      for (const line of page.split("\n").filter((line) => line !== "" && !line.startsWith("#"))) {
        assert.match(line, /^[a-z_]+(\{[^{}]*\})? -?\d+(\.\d+)?$/)
        names.add(line.split(/[{ ]/)[0]?.replace(/_(bucket|sum|count)$/, "") ?? "")
      }
      for (const name of names) {
        assert.include(page, `# HELP ${name}`)
        assert.include(page, `# TYPE ${name}`)
      }
      for (const name of [
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds_total"
      ])
        assert.isTrue(names.has(name), name)
    })
  )
})

describe("the exposition", () => {
  it("writes numbers without exponent and leaves out what is none", () => {
    const values = [1e-7, 1e21, 0, -1.5, 12n, Number.NaN, Number.POSITIVE_INFINITY]
    assert.deepStrictEqual(linesOf(values.map((value, i) => ({ labels: { i: String(i) }, value }))), [
      'n{i="0"} 0.0000001',
      'n{i="1"} 1000000000000000000000',
      'n{i="2"} 0',
      'n{i="3"} -1.5',
      'n{i="4"} 12'
    ])
  })

  it("lets what is no number spoil no other sample of its series", () => {
    assert.deepStrictEqual(linesOf([{ value: Number.NaN }, { value: 2 }, { value: 3 }]), ["n 5"])
  })

  it("lets no label break a line or end early", () => {
    const type = 'a"b\\c}d\ne\r\n# HELP x'
    assert.deepStrictEqual(linesOf([{ labels: { type }, value: 1 }]), ['n{type="a\\"b\\\\c)d e # HELP x"} 1'])
  })
})

layer(testApp({ CP_BASE_URL: "https://cp.example" }), { excludeTestServices: true })("documents", (it) => {
  it.effect("describe every route, its access and both spellings of a parameter", () =>
    Effect.gen(function* () {
      const answer = yield* send("/openapi.json")
      const { components, openapi, paths } = answer.json() as {
        readonly openapi: string
        readonly paths: Record<
          string,
          Record<
            string,
            {
              readonly security: unknown
              readonly parameters: ReadonlyArray<{ readonly name: string }>
              readonly responses: object
            }
          >
        >
        readonly components: {
          readonly schemas: Record<
            string,
            { readonly properties?: { readonly code?: { readonly enum?: ReadonlyArray<string> } } }
          >
        }
      }
      assert.match(openapi, /^3\.1/)
      assert.deepStrictEqual(paths["/api/gated"]?.["get"]?.security, [{ apiKey: [] }])
      assert.deepStrictEqual(paths["/api/redeem"]?.["post"]?.security, [{ enrollmentToken: [] }])
      assert.deepStrictEqual(paths["/api/whoami"]?.["get"]?.security, [])
      assert.includeMembers(Object.keys(paths["/api/gated"]?.["get"]?.responses ?? {}), ["401", "503"])
      assert.notProperty(paths["/api/whoami"]?.["get"]?.responses, "401")
      const names = paths["/api/list"]?.["get"]?.parameters.map(({ name }) => name)
      assert.deepStrictEqual(names, ["limit", "offset", "run_id", "runId"])
      const codes = Object.values(components.schemas).flatMap((schema) => schema.properties?.code?.enum ?? [])
      assert.includeMembers(codes, [...catalogue.keys()])
    })
  )

  it.effect("explain every code, and only codes", () =>
    Effect.gen(function* () {
      for (const { code, description, status, title } of catalogue.values())
        assert.deepStrictEqual((yield* send(`/errors/${code}`)).json(), { code, status, title, description })
      for (const code of ["nope", "not_found", "__proto__"])
        assert.strictEqual(yield* outcome(`/errors/${code}`), "404 NOT_FOUND")
    })
  )

  it.effect("the reference page loads nothing from elsewhere", () =>
    Effect.gen(function* () {
      const answer = yield* send("/docs")
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "text/html; charset=utf-8")
      assert.match(
        String(answer.headers["content-security-policy"]),
        /default-src 'none'.*connect-src 'self'/
      )
      const [markup = ""] = answer.text.split("<script>")
      assert.notMatch(markup.replace(/<style>[\s\S]*?<\/style>/, ""), /(?:src|href)=/)
      assert.include(answer.text, '"/api/list"')
    })
  )

  it.effect("the catalogue of APIs links description, reference and status", () =>
    Effect.gen(function* () {
      const answer = yield* send("/.well-known/api-catalog")
      assert.match(String(answer.headers["content-type"]), /^application\/linkset\+json/)
      for (const href of [
        "https://cp.example/openapi.json",
        "https://cp.example/docs",
        "https://cp.example/api/health"
      ])
        assert.include(answer.text, href)
    })
  )

  it.effect("security.txt has a contact and a date in the future", () =>
    Effect.gen(function* () {
      const { headers, text } = yield* send("/.well-known/security.txt")
      assert.strictEqual(headers["content-type"], "text/plain; charset=utf-8")
      assert.match(text, /^Contact: mailto:security@cp\.example$/m)
      assert.isAbove(Date.parse(/^Expires: (.*)$/m.exec(text)?.[1] ?? ""), Date.now())
    })
  )
})
