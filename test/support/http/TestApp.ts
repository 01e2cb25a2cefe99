import { ConfigProvider, Context, Deferred, Effect, Layer, Schema, Stream } from "effect"
import { HttpServer, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { SqlError } from "effect/sql"
import { Access, anyOf, enrollmentToken, open, platform } from "../../../src/access/Access.ts"
import { AppConfig } from "../../../src/config.ts"
import { AccessLog, type AccessRecord } from "../../../src/http/AccessLog.ts"
import * as Body from "../../../src/http/Body.ts"
import { BodyLimit } from "../../../src/http/BodyLimit.ts"
import { CurrentRequest } from "../../../src/http/CurrentRequest.ts"
import * as Document from "../../../src/http/Document.ts"
import { Drain } from "../../../src/http/Drain.ts"
import { applicationOf, Gate } from "../../../src/http/Gate.ts"
import * as Listener from "../../../src/http/Listener.ts"
import * as Query from "../../../src/http/Query.ts"
import { RefusedCredentials } from "../../../src/http/RefusedCredentials.ts"
import { Shortcuts } from "../../../src/http/Shortcuts.ts"
import { WireErrors } from "../../../src/http/WireErrors.ts"
import * as Limits from "../../../src/limits/Limits.ts"
import { API_ID, DocumentsApi, OpsApi, OpsOnly } from "../../../src/ops/api.ts"
import { ApiDocument } from "../../../src/ops/ApiDocument.ts"
import { DocumentsHttp } from "../../../src/ops/documents.ts"
import { Health } from "../../../src/ops/Health.ts"
import { OpsHttp } from "../../../src/ops/http.ts"
import { Metrics } from "../../../src/ops/Metrics.ts"
import { Readiness } from "../../../src/ops/Readiness.ts"
import { AlreadyExists, BodyInvalid } from "../../../src/wire/errors.ts"
import * as WireQuery from "../../../src/wire/query.ts"

const frames = (contentType: string) =>
  Effect.succeed(
    HttpServerResponse.stream(
      Stream.fromIterable(["data: 1\n\n", "data: 2\n\n"]).pipe(
        Stream.concat(Stream.succeed(`data: ${"x".repeat(3000)}\n\n`)),
        Stream.encodeText
      ),
      { contentType }
    )
  )

const text = (body: string, contentType: string, headers: Record<string, string> = {}) =>
  Effect.succeed(HttpServerResponse.text(body, { contentType, headers }))

/** Endpoints that do one thing each that the edge must cope with. */

const Thing = Schema.Struct({
  name: Schema.String.check(Schema.isMaxLength(5)),
  size: Schema.optionalKey(Schema.Int),
  label: Schema.optionalKey(Schema.String)
})

const ListQuery = WireQuery.make({
  limit: WireQuery.limit({ default: 10, max: 50 }),
  offset: WireQuery.offset,
  runId: WireQuery.text(["run_id", "runId"], "Run.")
})

const any = { success: Schema.Unknown }

const SamplesApi = HttpApiGroup.make("samples").add(
  HttpApiEndpoint.get("whoami", "/api/whoami", any).annotate(Access, open),
  HttpApiEndpoint.get("gated", "/api/gated", any).annotate(Access, platform),
  HttpApiEndpoint.get("scoped", "/api/scoped", any).annotate(Access, anyOf("events:read")),
  HttpApiEndpoint.post("redeem", "/api/redeem", any).annotate(Access, enrollmentToken),
  HttpApiEndpoint.get("item", "/api/items/:aid", { ...any, params: { aid: Schema.String } }).annotate(
    Access,
    open
  ),
  HttpApiEndpoint.get("part", "/api/items/:aid/part", { ...any, params: { aid: Schema.String } }).annotate(
    Access,
    platform
  ),
  HttpApiEndpoint.get("list", "/api/list", any)
    .annotate(Access, open)
    .annotate(WireQuery.QueryParameters, ListQuery.parameters),
  HttpApiEndpoint.post("thing", "/api/things", {
    ...any,
    payload: Thing,
    error: [BodyInvalid, AlreadyExists]
  }).annotate(Access, open),
  HttpApiEndpoint.post("raw", "/api/raw", { ...any, error: BodyInvalid })
    .annotate(Access, open)
    .annotate(BodyLimit, 1000),
  HttpApiEndpoint.get("large", "/api/large", any).annotate(Access, open),
  HttpApiEndpoint.get("small", "/api/small", any).annotate(Access, open),
  HttpApiEndpoint.get("encoded", "/api/encoded", any).annotate(Access, open),
  HttpApiEndpoint.get("stream", "/api/stream", any).annotate(Access, open),
  HttpApiEndpoint.get("export", "/api/export", any).annotate(Access, open),
  HttpApiEndpoint.get("defect", "/api/defect", any).annotate(Access, open),
  HttpApiEndpoint.get("outage", "/api/outage", any).annotate(Access, open),
  HttpApiEndpoint.get("held", "/api/held", any).annotate(Access, open),
  HttpApiEndpoint.get("document", "/log/document", any).annotate(Access, open)
)

export const SampleApi = HttpApi.make(API_ID).add(OpsApi, DocumentsApi, SamplesApi).middleware(WireErrors)

const json = HttpServerResponse.jsonUnsafe
const sampleDocument = Document.make(JSON.stringify({ text: "x".repeat(2000) }), {
  cacheControl: "max-age=60"
})

const readThing = Body.object(Thing)

const outage = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({ cause: new Error("secret connection detail") })
})

/** What tests see of a running application besides its answers. */
export class TestApp extends Context.Service<
  TestApp,
  {
    readonly port: number
    readonly url: string
    /** Records of the access log, in order. */
    readonly records: Array<AccessRecord>
    /** Lets the requests to `/api/held` go on. */
    readonly release: Effect.Effect<void>
    readonly drain: Drain["Service"]
    readonly gate: Gate["Service"]
    readonly health: Health["Service"]
    readonly metrics: Metrics["Service"]
    readonly readiness: Readiness["Service"]
  }
>()("test/http/TestApp") {}

class Held extends Context.Service<Held, Deferred.Deferred<void>>()("test/http/Held") {}

class Records extends Context.Service<Records, Array<AccessRecord>>()("test/http/Records") {}

const SamplesHttp = HttpApiBuilder.group(
  SampleApi,
  "samples",
  Effect.fn(function* (handlers) {
    const held = yield* Held
    const who = Effect.map(CurrentRequest, ({ id, principal }) =>
      json({ id, kind: principal.kind, actor: principal.actorId })
    )
    return handlers
      .handleRaw("whoami", () => who)
      .handleRaw("gated", () => who)
      .handleRaw("scoped", () => who)
      .handleRaw("redeem", () => who)
      .handleRaw("item", ({ params }) => Effect.succeed(json({ aid: params.aid })))
      .handleRaw("part", ({ params }) => Effect.succeed(json({ aid: params.aid })))
      .handleRaw("list", () => Effect.map(Query.read(ListQuery), (query) => json(query)))
      .handleRaw(
        "thing",
        Effect.fnUntraced(function* () {
          const thing = yield* readThing
          if (thing.name === "dup") return yield* new AlreadyExists({ existing: { id: "7" } })
          return json(thing, { status: 201 })
        })
      )
      .handleRaw("raw", () =>
        Effect.map(Body.json({ raw: true, maxDepth: 3 }), (value) => json({ value: value ?? null }))
      )
      .handleRaw("large", () => Effect.succeed(json({ text: "x".repeat(5000) })))
      .handleRaw("small", () => Effect.succeed(json({ text: "x".repeat(900) })))
      .handleRaw("encoded", () => text("y".repeat(2000), "application/json", { "content-encoding": "gzip" }))
      .handleRaw("stream", () => frames("text/event-stream"))
      .handleRaw("export", () => frames("application/x-ndjson"))
      .handleRaw("defect", () => Effect.die(new Error("secret internals")))
      .handleRaw("outage", () => Effect.die(outage))
      .handleRaw("held", () => Effect.as(Deferred.await(held), json({ held: true })))
      .handleRaw("document", ({ request }) => Effect.succeed(Document.respond(sampleDocument, request)))
  })
)

const logged = Layer.effect(
  AccessLog,
  Effect.map(Records, (records) => AccessLog.of({ write: (record) => void records.push(record) }))
)

const shared = Layer.mergeAll(
  Drain.layer,
  Health.layer,
  Readiness.layer,
  RefusedCredentials.layer,
  Shortcuts.layer,
  Layer.effect(Held, Deferred.make<void>()),
  Layer.sync(Records, () => [])
)

const middleware = WireErrors.layer
const probes = HttpApiBuilder.layer(OpsOnly).pipe(
  Layer.provide([OpsHttp, DocumentsHttp]),
  Layer.provide(middleware)
)
const everything = HttpApiBuilder.layer(SampleApi).pipe(
  Layer.provide([OpsHttp, DocumentsHttp, SamplesHttp]),
  Layer.provide(middleware)
)

const handle = Layer.effect(
  TestApp,
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const port = "port" in address ? address.port : 0
    const held = yield* Held
    return {
      port,
      url: `http://127.0.0.1:${port}`,
      records: yield* Records,
      release: Effect.asVoid(Deferred.succeed(held, undefined)),
      drain: yield* Drain,
      gate: yield* Gate,
      health: yield* Health,
      metrics: yield* Metrics,
      readiness: yield* Readiness
    }
  })
)

const assemble = <E, R>(opened: Layer.Layer<never, E, R>, environment: Record<string, string>) =>
  Layer.mergeAll(handle, opened).pipe(
    Layer.provide(Gate.layer(SampleApi, applicationOf(probes))),
    Layer.provide([Listener.layer, Limits.layer, logged]),
    Layer.provide([Metrics.layer, ApiDocument.layer(SampleApi)]),
    Layer.provide(shared),
    Layer.provide(AppConfig.layer),
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({
          PORT: "0",
          HOST: "127.0.0.1",
          API_KEYS: "key-1,key-2",
          RATE_LIMIT_ENABLED: "false",
          ...environment
        })
      )
    )
  )

/** The sample application behind the whole edge, on a free port; the given variables over two API keys. */
export const testApp = (environment: Record<string, string> = {}) =>
  assemble(Gate.layerOpen(applicationOf(everything)), environment)

/** As it is before the gate opens: probes and documents alone. */
export const startingApp = (environment: Record<string, string> = {}) => assemble(Layer.empty, environment)
