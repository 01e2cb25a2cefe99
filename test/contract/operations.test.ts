import { createHash } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { agentPath, enroll, joined, nowSecs } from "../support/service/agents.ts"
import { outcome, read, send } from "../support/service/client.ts"
import { assertEnvelope, assertRefused } from "../support/service/envelope.ts"
import { ingest } from "../support/service/events.ts"
import { parseExposition } from "../support/service/exposition.ts"
import {
  AID_SEED_HEX,
  anyService,
  Control,
  isRemote,
  ownService,
  startOn
} from "../support/service/Service.ts"
import { manifestFault } from "../support/service/verify-manifest.ts"
import { eventually } from "../support/db/eventually.ts"
import { ed25519Signer } from "../../src/aitp/signer.ts"
import { formatAid } from "../../src/aitp/aid.ts"

const WELL_KNOWN = "/.well-known/aitp-manifest"

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })(
  "the service's own manifest",
  (it) => {
    it.effect("verifies under an independent reading of the specification", () =>
      Effect.gen(function* () {
        const answer = yield* send(WELL_KNOWN)
        assert.strictEqual(answer.status, 200)
        assert.isUndefined(manifestFault(answer.text, nowSecs()))
        // and the reading does find faults
        assert.isDefined(
          manifestFault(answer.text.replace("aitp-control-plane", "aitp-control-plans"), nowSecs())
        )
        assert.isDefined(manifestFault(answer.text, nowSecs() + 90_000))
      })
    )

    it.effect("has exactly the promised members", () =>
      Effect.gen(function* () {
        const { manifest } = yield* read<{ manifest: Record<string, unknown> }>(WELL_KNOWN)
        const {
          aid,
          expires_at,
          handshake_endpoint,
          identity_hint,
          proof_of_possession,
          published_at,
          signature,
          ...rest
        } = manifest
        assert.deepEqual(rest, {
          version: "aitp/0.2",
          display_name: "aitp-control-plane",
          offered_capabilities: [],
          accepted_trust_anchors: ["https://no-peer.invalid"],
          accepted_identity_types: []
        })
        assert.match(String(aid), /^aid:pubkey:[A-Za-z0-9_-]{43}$/)
        assert.deepEqual(identity_hint, {
          type: "pinned_key",
          subject: "aitp-control-plane",
          public_key: String(aid).slice("aid:pubkey:".length)
        })
        assert.strictEqual(Number(expires_at) - Number(published_at), 86_400)
        assert.match(String(handshake_endpoint), /^https?:\/\/[^/]+\/api\/aitp\/handshake\/hello$/)
        assert.isString(signature)
        assert.hasAllKeys(proof_of_possession as object, ["challenge", "signature"])
      })
    )

    it.effect("is served as the same bytes at both paths, cacheable and with 304", () =>
      Effect.gen(function* () {
        const answer = yield* send(WELL_KNOWN)
        const alias = yield* send("/api/well-known/aitp-manifest")
        assert.deepEqual(alias.bytes, answer.bytes)
        assert.strictEqual(answer.headers["content-type"], "application/json")
        assert.strictEqual(answer.headers["cache-control"], "max-age=3600")
        assert.strictEqual(
          answer.headers["content-digest"],
          `sha-256=:${createHash("sha256").update(answer.bytes).digest("base64")}:`
        )
        const headers = { "if-none-match": String(answer.headers["etag"]) }
        const cached = yield* send(WELL_KNOWN, { headers })
        assert.strictEqual(cached.status, 304)
        assert.strictEqual(cached.text, "")
      })
    )

    it.effect("names an endpoint that refuses every method", () =>
      Effect.gen(function* () {
        for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
          for (const key of [false, true]) {
            const answer = yield* send("/api/aitp/handshake/hello", {
              method,
              key,
              ...(method === "GET" ? {} : { body: "{" })
            })
            assertRefused(answer, 403, "HANDSHAKE_NOT_SUPPORTED")
          }
        }
        assert.strictEqual((yield* send("/api/aitp/handshake/hello", { method: "HEAD" })).status, 403)
      })
    )

    it.effect("names the AID that the probes tell", () =>
      Effect.gen(function* () {
        const { manifest } = yield* read<{ manifest: { aid: string } }>(WELL_KNOWN)
        assert.strictEqual((yield* read("/api/health"))["aid"], manifest.aid)
      })
    )
  }
)

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("probes", (it) => {
  it.effect("answer exactly the promised members", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* read("/api/livez"), { ok: true })
      assert.deepEqual(yield* read("/api/readyz"), { ready: true })
      const { aid, uptimeSeconds, version, ...rest } = yield* read("/api/health")
      assert.deepEqual(rest, { ok: true, service: "aitp-control-plane", db: "ok" })
      assert.isString(aid)
      assert.isNumber(uptimeSeconds)
      assert.isString(version)
    })
  )

  it.effect("answer as health documents on request", () =>
    Effect.gen(function* () {
      for (const path of ["/api/health", "/api/readyz"]) {
        const answer = yield* send(path, { headers: { accept: "application/health+json" } })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.headers["content-type"], "application/health+json")
        assert.strictEqual(answer.json()["status"], "pass")
        assert.isObject(answer.json()["checks"])
      }
    })
  )
})

/** Series of the contract's §9, which are there from the start. */
const promised = [
  "agents_active",
  "agents_expired",
  "sessions_total",
  "webhook_deliveries",
  "audit_events",
  "db_up",
  "rate_limit_drops",
  "webhook_circuit_breaker_open",
  "admin_audit_insert_failures",
  "event_backlog_dropped",
  "build_info",
  "http_requests_total",
  "http_request_duration_seconds",
  "events_dropped_total",
  "events_duplicate_total",
  "events_sanitized_total",
  "event_id_conflicts_total",
  "event_position",
  "projection_skipped_total",
  "enroll_verification_failures",
  "agents_integrity_failed",
  "sse_streams_open",
  "sse_streams_opened_total",
  "sse_streams_rejected_total",
  "sse_resets_total",
  "stream_lag_seconds",
  "webhook_attempts_total",
  "webhook_attempt_duration_seconds",
  "webhook_oldest_due_seconds",
  "revocation_list_entries",
  "revocation_list_age_seconds",
  "revocation_list_version",
  "revocation_list_guard_refusals_total",
  "listener_up",
  "listener_heartbeat_age_seconds",
  "idempotency_total",
  "rate_limit_store_errors_total",
  "db_pool_connections",
  "db_pool_wait_seconds",
  "retention_deleted_total",
  "retention_last_success_seconds",
  "jwks_refresh_total",
  "config_warnings"
].map((name) => `aitp_control_plane_${name}`)

describe.skipIf(isRemote)("metrics", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    const page = Effect.map(send("/api/metrics"), (answer) => parseExposition(answer.text))
    const valueOf = (name: string, labels: Readonly<Record<string, string>> = {}) =>
      Effect.map(page, ({ samples }) =>
        samples
          .filter((sample) => sample.name === `aitp_control_plane_${name}`)
          .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
          .reduce((sum, { value }) => sum + value, 0)
      )

    it.effect("are in the text format, every series with TYPE and HELP, under the promised names", () =>
      Effect.gen(function* () {
        yield* ingest([{ type: "a" }])
        const answer = yield* send("/api/metrics")
        assert.strictEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        const { helps, samples, types } = parseExposition(answer.text)
        for (const name of promised) assert.isTrue(types.has(name), name)
        assert.strictEqual(types.get("aitp_control_plane_http_request_duration_seconds"), "histogram")
        for (const name of [
          "process_resident_memory_bytes",
          "process_start_time_seconds",
          "process_cpu_seconds_total"
        ]) {
          assert.isTrue(types.has(name), name)
        }
        for (const [name] of types) assert.match(name, /^(?:aitp_control_plane_|process_)/)
        assert.strictEqual(helps.size, types.size)
        assert.isAbove(samples.length, promised.length)
      })
    )

    it.effect("have consistent histograms", () =>
      Effect.gen(function* () {
        const { samples } = yield* page
        const name = "aitp_control_plane_http_request_duration_seconds"
        const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
        const series = Map.groupBy(buckets, ({ labels }) => JSON.stringify({ ...labels, le: "" }))
        assert.isAbove(series.size, 0)
        for (const [, rows] of series) {
          const counts = rows.map(({ value }) => value)
          assert.deepEqual(
            counts,
            counts.toSorted((a, b) => a - b)
          )
          assert.strictEqual(rows.at(-1)?.labels["le"], "+Inf")
          const total = samples.find(
            (sample) =>
              sample.name === `${name}_count` &&
              sample.labels["route"] === rows[0]?.labels["route"] &&
              Object.entries(sample.labels).every(([key, value]) => rows[0]?.labels[key] === value)
          )
          assert.strictEqual(total?.value, counts.at(-1))
        }
      })
    )

    it.effect("count what happened and nothing else", () =>
      Effect.gen(function* () {
        const watched = [
          "events_dropped_total",
          "events_duplicate_total",
          "events_sanitized_total",
          "event_id_conflicts_total"
        ]
        const before = yield* Effect.forEach(watched, (name) => valueOf(name))
        yield* ingest([
          { type: "x".repeat(129) },
          { type: "dup", ts: 5 },
          { id: "n", type: "one" },
          { id: "n", type: "two" },
          { type: "nul\0" }
        ])
        yield* ingest([{ type: "dup", ts: 5 }])
        const after = yield* Effect.forEach(watched, (name) => valueOf(name))
        assert.deepEqual(
          after.map((value, i) => value - (before[i] ?? 0)),
          [1, 2, 1, 1]
        )
      })
    )

    it.effect("label routes by template, never by path", () =>
      Effect.gen(function* () {
        const { aid } = yield* joined()
        yield* send(agentPath(aid))
        yield* send("/api/no/such/path", { key: true })
        const { samples } = yield* page
        const routes = new Set(samples.flatMap(({ labels }) => labels["route"] ?? []))
        assert.include([...routes], "/api/registry/agents/:aid")
        assert.isTrue([...routes].every((route) => !route.includes("aid:pubkey") && !route.includes("such")))
      })
    )

    it.effect("survive hostile event types and count events by type", () =>
      Effect.gen(function* () {
        yield* ingest(
          ['a"b', "a\\b", "a\nb", "a}b", "a{b", "a\u2028b", " ", "💡", "a=b,c"].map((type) => ({ type }))
        )
        yield* ingest([{ type: "counted" }, { type: "counted" }])
        yield* eventually(valueOf("audit_events", { type: "counted" }), (n) => n === 2)
        assert.isAbove(yield* valueOf("event_position"), 0)
      })
    )

    it.effect("follow the registry", () =>
      Effect.gen(function* () {
        const before = yield* valueOf("agents_active")
        const { aid } = yield* joined()
        yield* eventually(valueOf("agents_active"), (n) => n === before + 1)
        yield* send(agentPath(aid), { method: "DELETE", key: true })
        yield* eventually(valueOf("agents_active"), (n) => n === before)
      })
    )
  })
})

interface Operation {
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string }>
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: unknown }>> }>
  >
  readonly security?: ReadonlyArray<object>
}

interface OpenApi {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>
    readonly securitySchemes: object
  }
}

const listedRoutes: ReadonlyArray<readonly [string, string]> = [
  ["get", "/api/health"],
  ["get", "/api/livez"],
  ["get", "/api/readyz"],
  ["get", "/api/metrics"],
  ["get", "/openapi.json"],
  ["get", "/docs"],
  ["get", "/errors/{code}"],
  ["get", "/.well-known/aitp-manifest"],
  ["get", "/api/well-known/aitp-manifest"],
  ["get", "/.well-known/api-catalog"],
  ["get", "/.well-known/security.txt"],
  ["post", "/api/aitp/handshake/hello"],
  ["post", "/api/registry/enroll"],
  ["post", "/api/registry/agents"],
  ["get", "/api/registry/agents"],
  ["get", "/api/registry/agents/{aid}"],
  ["get", "/api/registry/agents/{aid}/manifest"],
  ["get", "/api/registry/agents/{aid}/export"],
  ["delete", "/api/registry/agents/{aid}"],
  ["post", "/api/events"],
  ["get", "/api/events/history"],
  ["get", "/api/events/{id}"]
]

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("the API description", (it) => {
  const document = read<OpenApi>("/openapi.json")

  it.effect("is OpenAPI 3.1 and lists every route", () =>
    Effect.gen(function* () {
      const { info, openapi, paths } = yield* document
      assert.match(openapi, /^3\.1\.\d$/)
      assert.isString(info.title)
      for (const [method, path] of listedRoutes) assert.isDefined(paths[path]?.[method], `${method} ${path}`)
    })
  )

  it.effect("resolves every reference and gives every operation answers and a unique id", () =>
    Effect.gen(function* () {
      const api = yield* document
      const text = JSON.stringify(api)
      for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
        assert.property(api.components.schemas, decodeURIComponent(name ?? "").replaceAll("~1", "/"))
      }
      assert.notMatch(text, /"\$ref":"(?!#\/components\/)/)
      const ids = [...text.matchAll(/"operationId":"([^"]+)"/g)].map(([, id]) => id)
      assert.strictEqual(new Set(ids).size, ids.length)
      for (const [path, operations] of Object.entries(api.paths)) {
        for (const [method, operation] of Object.entries(operations)) {
          const statuses = Object.keys(operation.responses)
          assert.isAbove(statuses.length, 0, `${method} ${path}`)
          for (const name of [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)) {
            const parameter = operation.parameters?.find((each) => each.name === name)
            assert.strictEqual(parameter?.in, "path", `${method} ${path} ${name}`)
          }
        }
      }
    })
  )

  it.effect("lists both spellings of query parameters and the credential of gated routes", () =>
    Effect.gen(function* () {
      const { paths } = yield* document
      const names = paths["/api/events/history"]?.["get"]?.parameters?.map(({ name }) => name) ?? []
      assert.includeMembers(names, [
        "type",
        "aid",
        "session_id",
        "sessionId",
        "run_id",
        "runId",
        "since",
        "until",
        "limit",
        "offset",
        "cursor",
        "namespace",
        "source",
        "order"
      ])
      assert.strictEqual(new Set(names).size, names.length)
      assert.lengthOf(paths["/api/events/history"]?.["get"]?.security ?? [], 1)
      assert.lengthOf(paths["/api/registry/agents"]?.["get"]?.security ?? [], 0)
    })
  )

  it.effect("answers only what it lists: every refusal here is one it describes", () =>
    Effect.gen(function* () {
      const { paths } = yield* document
      for (const [path, operations] of Object.entries(paths)) {
        for (const method of Object.keys(operations)) {
          const target = path.replace(/\{(\w+)\}/g, "x")
          if (method === "get" && target === "/api/events/stream") continue
          const body = method === "get" || method === "delete" ? {} : { body: "{" }
          for (const key of [false, true]) {
            const answer = yield* send(target, { method: method.toUpperCase(), key, ...body })
            assert.isBelow(answer.status, 500, `${method} ${path}: ${answer.text.slice(0, 200)}`)
            assert.property(operations[method]?.responses, String(answer.status), `${method} ${path}`)
            if (answer.status >= 400) assertEnvelope(answer, `${method} ${path}`)
          }
        }
      }
    })
  )

  it.effect("explains every code it knows, and no other", () =>
    Effect.gen(function* () {
      for (const [code, status] of [
        ["TOKEN_REPLAYED", 401],
        ["MANIFEST_STALE", 409],
        ["CURSOR_EXPIRED", 410],
        ["UNSUPPORTED_ENCODING", 415],
        ["UNAVAILABLE", 503]
      ] as const) {
        const { description, title, ...rest } = yield* read(`/errors/${code}`)
        assert.deepEqual(rest, { code, status })
        assert.isString(title)
        assert.isString(description)
      }
      for (const code of ["INSERT_FAILED", "not_found", "__proto__", "constructor"]) {
        assertRefused(yield* send(`/errors/${code}`), 404, "NOT_FOUND")
      }
    })
  )

  it.effect("is readable as a page that loads nothing from elsewhere", () =>
    Effect.gen(function* () {
      const answer = yield* send("/docs")
      assert.strictEqual(answer.status, 200)
      assert.match(String(answer.headers["content-type"]), /^text\/html/)
      const loads = [
        ...answer.text.matchAll(
          /<(?:script|link|img|iframe|source|audio|video|embed|object)\b[^>]*?\s(?:src|href|data)\s*=\s*["']?([^"'\s>]+)/gi
        )
      ]
      const external = loads.map(([, url]) => url ?? "").filter((url) => /^(?:https?:)?\/\//i.test(url))
      assert.deepEqual(external, [])
      assert.notMatch(answer.text, /@import\s+(?:url\()?["']?https?:/i)
      assert.notMatch(answer.text, /url\(["']?https?:/i)
      const policy = String(answer.headers["content-security-policy"])
      assert.match(policy, /default-src 'none'|default-src 'self'/)
      assert.notMatch(policy, /https?:|\*/)
    })
  )

  it.effect("has a catalog and a security contact in their registered forms", () =>
    Effect.gen(function* () {
      const catalog = yield* send("/.well-known/api-catalog")
      assert.match(String(catalog.headers["content-type"]), /^application\/linkset\+json/)
      assert.isArray(catalog.json()["linkset"])
      const security = yield* send("/.well-known/security.txt")
      assert.match(String(security.headers["content-type"]), /^text\/plain/)
      assert.match(security.text, /^Contact: \S+$/m)
      const [, expires = ""] = /^Expires: (\S+)$/m.exec(security.text) ?? []
      assert.isAbove(Date.parse(expires), Date.now())
      for (const path of ["/openapi.json", "/.well-known/api-catalog"]) {
        const { headers } = yield* send(path)
        const cached = yield* send(path, { headers: { "if-none-match": String(headers["etag"]) } })
        assert.strictEqual(cached.status, 304)
      }
    })
  )
})

describe.skipIf(isRemote)("a second replica", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect(
      "serves the same manifest bytes, sees what the first one commits, and re-signs for another origin",
      () =>
        Effect.gen(function* () {
          const { databaseUrl } = yield* Control
          const first = yield* send(WELL_KNOWN)
          const second = yield* startOn(databaseUrl)
          const served = yield* Effect.promise(() =>
            fetch(`${second.url}${WELL_KNOWN}`).then((answer) => answer.text())
          )
          assert.strictEqual(served, first.text)
          const signer = ed25519Signer(new Uint8Array(Buffer.from(AID_SEED_HEX, "hex")))
          assert.include(first.text, formatAid(signer.alg, signer.raw, "untagged"))
          const { aid } = yield* joined()
          const seen = yield* Effect.promise(() => fetch(`${second.url}${agentPath(aid)}`))
          assert.strictEqual(seen.status, 200)
          const third = yield* startOn(databaseUrl, { CP_BASE_URL: "https://cp.example.com" })
          const resigned = yield* Effect.promise(() =>
            fetch(`${third.url}${WELL_KNOWN}`).then((answer) => answer.text())
          )
          assert.include(resigned, "https://cp.example.com/api/aitp/handshake/hello")
          assert.isUndefined(manifestFault(resigned, nowSecs()))
        })
    )

    it.effect("accepts the tokens of the first", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcome("/api/readyz"), "200 ok")
        assert.strictEqual((yield* enroll("{}")).status, 400)
      })
    )
  })
})
