import { Effect, Layer } from "effect"
import { HttpMiddleware } from "effect/http"
import { AppConfig, type Settings } from "../config.ts"
import { pathOf } from "../http/Target.ts"
import { VERSION } from "./version.ts"

/** Asked every few seconds by machines; spans of them would bury the others. */
const PROBES: ReadonlySet<string> = new Set(["/api/livez", "/api/readyz", "/api/health", "/api/metrics"])

/** `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` as it is, or `/v1/traces` below `OTEL_EXPORTER_OTLP_ENDPOINT`. */
export const tracesUrl = (telemetry: Settings["telemetry"]): string | undefined =>
  telemetry.otelTracesEndpoint ??
  (telemetry.otelEndpoint === undefined
    ? undefined
    : `${telemetry.otelEndpoint.replace(/\/+$/, "")}/v1/traces`)

const requestSpans = Layer.mergeAll(
  Layer.succeed(HttpMiddleware.TracerDisabledWhen, ({ url }) => PROBES.has(pathOf(url))),
  // the template comes as attribute `http.route`; a name made of the path would be unbounded
  Layer.succeed(
    HttpMiddleware.SpanNameGenerator,
    ({ method, url }) => `${method} ${pathOf(url).split("/").slice(0, 3).join("/")}`
  )
)

/**
 * OpenTelemetry traces, metrics and logs when `OTEL_ENABLED` is set, else nothing at all. Below the listener, so that requests see it; an
 * incoming `traceparent` is continued.
 */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { telemetry } = yield* AppConfig
    if (!telemetry.otelEnabled) return Layer.empty
    const otlp = yield* Effect.promise(() => import("./otlp.ts"))
    const exporter = otlp.layer({
      serviceName: telemetry.otelServiceName,
      serviceVersion: VERSION,
      tracesUrl: tracesUrl(telemetry),
      baseUrl: telemetry.otelEndpoint
    })
    return Layer.merge(exporter, requestSpans)
  })
)
