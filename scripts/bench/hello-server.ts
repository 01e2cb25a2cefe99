import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Access, open } from "../../src/access/Access.ts"
import { AppConfig } from "../../src/config.ts"
import { AccessLog } from "../../src/http/AccessLog.ts"
import { Drain } from "../../src/http/Drain.ts"
import { applicationOf, Gate } from "../../src/http/Gate.ts"
import * as Listener from "../../src/http/Listener.ts"
import { RefusedCredentials } from "../../src/http/RefusedCredentials.ts"
import { Shortcuts } from "../../src/http/Shortcuts.ts"
import * as Limits from "../../src/limits/Limits.ts"
import { Health } from "../../src/ops/Health.ts"
import * as Logging from "../../src/ops/Logging.ts"
import { Readiness } from "../../src/ops/Readiness.ts"
import * as Telemetry from "../../src/ops/Telemetry.ts"

/** The service's edge, with all that every request meets, in front of a route that does nothing; another one tells the process's memory. */

const Api = HttpApi.make("hello").add(
  HttpApiGroup.make("hello").add(
    HttpApiEndpoint.get("hello", "/api/hello", { success: Schema.Void }).annotate(Access, open),
    HttpApiEndpoint.get("resident", "/api/resident", { success: Schema.String }).annotate(Access, open)
  )
)

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/api/hello", Effect.succeed(HttpServerResponse.empty())),
  HttpRouter.add(
    "GET",
    "/api/resident",
    Effect.sync(() => HttpServerResponse.text(String(process.memoryUsage.rss())))
  )
)

const Hello = Drain.layerHold.pipe(
  Layer.provide(Gate.layer(Api, applicationOf(Routes))),
  Layer.provide([Listener.layer, AccessLog.layer, Limits.layer, Drain.layerSignals]),
  Layer.provide([Health.layer, Readiness.layer, RefusedCredentials.layer, Shortcuts.layer, Drain.layer]),
  Layer.provide([Logging.layer, Telemetry.layer]),
  Layer.provide(AppConfig.layer)
)

NodeRuntime.runMain(Layer.launch(Hello), { teardown: (_exit, done) => done(0) })
