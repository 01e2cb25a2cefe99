import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync } from "node:zlib"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { freshDatabase } from "../support/db/TestDb.ts"
import { send, sendTo } from "../support/service/client.ts"
import { Service, startOn } from "../support/service/Service.ts"

/** What an OTLP/HTTP collector was sent, by path. */
class Collector extends Context.Service<
  Collector,
  { readonly url: string; readonly received: ReadonlyMap<string, ReadonlyArray<unknown>> }
>()("cp/test/Collector") {}

const bodyOf = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes
  return JSON.parse(text.toString("utf8"))
}

const collector = Layer.effect(
  Collector,
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{
        readonly url: string
        readonly close: () => void
        readonly received: Map<string, Array<unknown>>
      }>((resume) => {
        const received = new Map<string, Array<unknown>>()
        const server = createServer((request, response) => {
          void bodyOf(request).then((body) => {
            const path = request.url ?? ""
            received.set(path, [...(received.get(path) ?? []), body])
            response.writeHead(200, { "content-type": "application/json" }).end("{}")
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(
            Effect.succeed({
              url: `http://127.0.0.1:${port}`,
              close: () => server.closeAllConnections(),
              received
            })
          )
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ received, url }) => ({ received, url })
  )
)

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly attributes: ReadonlyArray<{
    readonly key: string
    readonly value: { readonly stringValue?: string }
  }>
}

/** Every object in what was sent that has this member. */
const withMember = (value: unknown, member: string): ReadonlyArray<Readonly<Record<string, unknown>>> => {
  if (typeof value !== "object" || value === null) return []
  const own = !Array.isArray(value) && member in value ? [value as Readonly<Record<string, unknown>>] : []
  return [...own, ...Object.values(value).flatMap((inner) => withMember(inner, member))]
}

layer(collector, { timeout: "60 seconds", excludeTestServices: true })("telemetry", (it) => {
  it.effect("sends traces, metrics and logs over OTLP, and continues the caller's trace down to SQL", () =>
    Effect.gen(function* () {
      const { received, url: collectorUrl } = yield* Collector
      const databaseUrl = yield* freshDatabase
      const { service, url, apiKey } = yield* startOn(databaseUrl, {
        OTEL_ENABLED: "true",
        OTEL_SERVICE_NAME: "cp-under-test",
        OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl
      })
      const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
      const answer = yield* sendTo({ url, apiKey }, "/api/events/history?run_id=secret-run", {
        key: true,
        headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
      })
      assert.strictEqual(answer.status, 200)
      yield* sendTo({ url, apiKey }, "/api/livez")
      // What is not sent yet is sent at the end.
      yield* service.stop

      const traces = received.get("/v1/traces") ?? []
      const spans = withMember(traces, "spanId").filter(
        (each) => "name" in each
      ) as unknown as ReadonlyArray<Span>
      const ours = spans.filter((span) => span.traceId === traceId)
      const server = ours.find((span) => span.parentSpanId === "00f067aa0ba902b7")
      assert.isDefined(server)
      const attribute = (span: Span, key: string) =>
        span.attributes.find((each) => each.key === key)?.value.stringValue
      assert.strictEqual(attribute(server, "http.route"), "/api/events/history")
      const sql = ours.filter((span) => attribute(span, "db.query.text") !== undefined)
      assert.isNotEmpty(sql)
      assert.notInclude(JSON.stringify(sql), "secret-run")
      assert.isEmpty(spans.filter((span) => span.name.includes("livez")))
      assert.include(JSON.stringify(traces), "cp-under-test")

      const metrics = withMember(received.get("/v1/metrics"), "name").map(({ name }) => name)
      assert.include(metrics, "http_requests_total")
      assert.include(metrics, "sse_streams_open")
      const logs = JSON.stringify(received.get("/v1/logs") ?? [])
      assert.include(logs, "Listening on")
    })
  )

  it.effect("keeps serving while the collector is gone", () =>
    Effect.gen(function* () {
      const { service, url, apiKey } = yield* startOn(yield* freshDatabase, {
        OTEL_ENABLED: "true",
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9"
      })
      const answer = yield* Effect.provideService(
        send("/api/events", { key: true, body: [{ type: "seen" }] }),
        Service,
        { url, apiKey }
      )
      assert.strictEqual(answer.status, 200)
      assert.deepEqual(yield* service.stop, { code: 0, signal: null })
    })
  )
})
