import { Context, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { AccessLog } from "../../../src/http/AccessLog.ts"
import { Drain } from "../../../src/http/Drain.ts"
import * as Edge from "../../../src/http/Edge.ts"
import { applicationOf } from "../../../src/http/Gate.ts"
import * as Listener from "../../../src/http/Listener.ts"
import { RateLimiter } from "../../../src/http/RateLimiter.ts"
import * as RouteTable from "../../../src/http/RouteTable.ts"
import { RefusedCredentials } from "../../../src/http/RefusedCredentials.ts"
import { Shortcuts } from "../../../src/http/Shortcuts.ts"
import { WireErrors } from "../../../src/http/WireErrors.ts"
import { Idempotency } from "../../../src/idempotency/Idempotency.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { API_ID } from "../../../src/ops/api.ts"
import { AgentExport } from "../../../src/registry/AgentExport.ts"
import { Agents } from "../../../src/registry/Agents.ts"
import { RegistryApi } from "../../../src/registry/api.ts"
import { Deregistration } from "../../../src/registry/Deregistration.ts"
import { Enrollment } from "../../../src/registry/Enrollment.ts"
import { RegistryHttp } from "../../../src/registry/http.ts"
import { Registration } from "../../../src/registry/Registration.ts"
import { RegistryAnswers } from "../../../src/registry/RegistryAnswers.ts"
import { RegistryVersion } from "../../../src/registry/RegistryVersion.ts"

/** Origin of a running registry. */
export class RegistryUrl extends Context.Service<RegistryUrl, string>()("test/idempotency/RegistryUrl") {}

const RegistryOnly = HttpApi.make(API_ID).add(RegistryApi).middleware(WireErrors)
const Routes = HttpApiBuilder.layer(RegistryOnly).pipe(
  Layer.provide(RegistryHttp),
  Layer.provide(WireErrors.layer)
)

const Serving = Layer.effect(
  RegistryUrl,
  Effect.gen(function* () {
    const edge = yield* Edge.make(RouteTable.make(RegistryOnly))
    yield* HttpServer.serveEffect(edge(yield* applicationOf(Routes)))
    const { address } = yield* HttpServer.HttpServer
    return `http://127.0.0.1:${"port" in address ? address.port : 0}`
  })
)

/** The registry behind the whole edge, on a free port. Needs what `Ledger` provides. */
export const RegistryService = Serving.pipe(
  Layer.provide([
    Listener.layer,
    AccessLog.layerSilent,
    Drain.layer,
    RateLimiter.layerOff,
    RefusedCredentials.layer,
    Shortcuts.layer
  ]),
  Layer.provide([
    Layer.mock(AgentExport)({}),
    Deregistration.layer,
    Enrollment.layer,
    Idempotency.layer,
    RegistryAnswers.layer,
    Registration.layer
  ]),
  Layer.provide([Agents.layer, IdempotencyKeys.layer]),
  Layer.provide(RegistryVersion.layer)
)
