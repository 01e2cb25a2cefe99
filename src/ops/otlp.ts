import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer } from "effect"

/** Loaded only when telemetry is on: the SDK takes time and memory that a service without it does not spend. */

const FLUSH_TIMEOUT = "3 seconds"

export interface OtlpOptions {
  readonly serviceName: string
  readonly serviceVersion: string
  /** Full URL of the traces endpoint; undefined: the default of OTLP over HTTP. */
  readonly url: string | undefined
}

/** Sends the spans of effects over OTLP/HTTP in batches; what is left is sent when the scope closes. */
export const layer = ({ serviceName, serviceVersion, url }: OtlpOptions) =>
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
