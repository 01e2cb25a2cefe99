import { hash, timingSafeEqual } from "node:crypto"
import { Effect, Redacted } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { AppConfig } from "../config.ts"
import { Drain } from "../http/Drain.ts"
import { Shortcuts } from "../http/Shortcuts.ts"
import { InvalidApiKey } from "../wire/errors.ts"
import { OpsOnly } from "./api.ts"
import { Health } from "./Health.ts"
import { Metrics } from "./Metrics.ts"
import { Readiness } from "./Readiness.ts"
import { SERVICE, VERSION } from "./version.ts"

const HEALTH_JSON = "application/health+json"

/** RFC-style health document for those who ask for it; the status is the same either way. */
const probe = (
  request: HttpServerRequest.HttpServerRequest,
  pass: boolean,
  body: Record<string, unknown>,
  checks: Record<string, unknown>
) => {
  const status = pass ? 200 : 503
  return request.headers["accept"]?.includes(HEALTH_JSON) === true
    ? HttpServerResponse.jsonUnsafe(
        { status: pass ? "pass" : "fail", checks },
        { status, contentType: HEALTH_JSON }
      )
    : HttpServerResponse.jsonUnsafe(body, { status })
}

const alive = HttpServerResponse.jsonUnsafe({ ok: true })

const digest = (text: string) => hash("sha256", text, "buffer")

/** Whether an `Authorization` value is the bearer token. */
const bears = (authorization: string | undefined, token: Redacted.Redacted): boolean =>
  timingSafeEqual(
    digest((authorization ?? "").replace(/^bearer\s+/i, "").trim()),
    digest(Redacted.value(token))
  )

export const OpsHttp = HttpApiBuilder.group(
  OpsOnly,
  "ops",
  Effect.fn(function* (handlers) {
    const { keys } = yield* AppConfig
    const health = yield* Health
    const metrics = yield* Metrics
    const readiness = yield* Readiness
    const drain = yield* Drain
    const whyNotReady = Effect.gen(function* () {
      if (drain.active()) return "shutting_down"
      return readiness.reason() ?? ((yield* health.database) ? undefined : "database_unavailable")
    })
    const shortcuts = yield* Shortcuts
    shortcuts.add("GET", "/api/livez", () => alive)
    return handlers
      .handleRaw("livez", () => Effect.succeed(alive))
      .handleRaw(
        "health",
        Effect.fnUntraced(function* ({ request }) {
          const ok = yield* health.database
          const body = {
            ok,
            service: SERVICE,
            aid: health.aid(),
            db: ok ? "ok" : "error",
            version: VERSION,
            uptimeSeconds: health.uptimeSeconds()
          }
          return probe(request, ok, body, { database: { status: ok ? "pass" : "fail" } })
        })
      )
      .handleRaw(
        "readyz",
        Effect.fnUntraced(function* ({ request }) {
          const reason = yield* whyNotReady
          const body =
            reason === undefined
              ? { ready: true }
              : {
                  ready: false,
                  reason,
                  ...(reason === "database_unavailable" ? { error: "database is unavailable" } : undefined)
                }
          const ofDatabase = reason === "database_unavailable"
          return probe(request, reason === undefined, body, {
            process: { status: reason === undefined || ofDatabase ? "pass" : "fail", output: reason },
            database: { status: ofDatabase ? "fail" : "pass" }
          })
        })
      )
      .handleRaw(
        "metrics",
        Effect.fnUntraced(function* ({ request }) {
          const token = keys.metricsToken
          if (token !== undefined && !bears(request.headers["authorization"], token)) {
            return yield* new InvalidApiKey({ error: "missing or invalid metrics token" })
          }
          return HttpServerResponse.text(yield* metrics.page, {
            contentType: "text/plain; version=0.0.4; charset=utf-8"
          })
        })
      )
  })
)
