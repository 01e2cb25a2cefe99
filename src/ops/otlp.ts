import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpLogger, OtlpMetrics, OtlpSerialization } from "effect/observability"

/** Loaded only when telemetry is on: the SDK takes time and memory that a service without it does not spend. */

const FLUSH_TIMEOUT = "3 seconds"

export interface OtlpOptions {
  readonly serviceName: string
  readonly serviceVersion: string
  /** Full URL of the traces endpoint; undefined: the default of OTLP over HTTP. */
  readonly tracesUrl: string | undefined
  /** Collector that metrics and logs go to, below `/v1/metrics` and `/v1/logs`; undefined: they stay here. */
  readonly baseUrl: string | undefined
}

/** Sends the spans of effects in batches; what is left is sent when the scope closes. */
const spans = ({ serviceName, serviceVersion, tracesUrl: url }: OtlpOptions) =>
  OtelTracer.layer.pipe(
    Layer.provide(
      Layer.effect(
        OtelTracer.OtelTracerProvider,
        Effect.acquireRelease(
          Effect.sync(
            () =>
              new BasicTracerProvider({
                resource: resourceFromAttributes({
                  "service.name": serviceName,
                  "service.version": serviceVersion
                }),
                spanProcessors: [
                  new BatchSpanProcessor(new OTLPTraceExporter(url === undefined ? {} : { url }))
                ]
              })
          ),
          (provider) =>
            Effect.promise(() => provider.shutdown()).pipe(
              Effect.timeoutOption(FLUSH_TIMEOUT),
              Effect.ignoreCause
            )
        )
      )
    )
  )

/** Sends the metrics that are counted in the process, and log records beside the lines on standard output. */
const metricsAndLogs = ({ serviceName, serviceVersion }: OtlpOptions, baseUrl: string) => {
  const options = (path: string) =>
    ({
      url: `${baseUrl.replace(/\/+$/, "")}${path}`,
      resource: { serviceName, serviceVersion },
      shutdownTimeout: FLUSH_TIMEOUT
    }) as const
  return Layer.mergeAll(
    OtlpMetrics.layer(options("/v1/metrics")),
    OtlpLogger.layer({ ...options("/v1/logs"), mergeWithExisting: true })
  ).pipe(Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]))
}

/** OpenTelemetry over OTLP/HTTP. */
export const layer = (options: OtlpOptions) =>
  options.baseUrl === undefined
    ? spans(options)
    : Layer.merge(spans(options), metricsAndLogs(options, options.baseUrl))
