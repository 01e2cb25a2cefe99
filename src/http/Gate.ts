import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerError } from "effect/http"
import type { HttpApi, HttpApiGroup } from "effect/http-api"
import { Unavailable } from "../wire/errors.ts"
import * as Edge from "./Edge.ts"
import * as RouteTable from "./RouteTable.ts"

/** A router layer as HttpApiBuilder makes it, turned into what answers one request. */
export const applicationOf = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  Effect.provideService(HttpRouter.toHttpEffect(routes), HttpRouter.RouterConfig, RouteTable.routerConfig)

const isRouteNotFound = (error: unknown): boolean =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"

/**
 * Stands between the listener and the endpoints. The listener answers from its first moment: probes and documents as
 * always, every other known route with 503 until the application is there.
 */
export class Gate extends Context.Service<
  Gate,
  {
    /** From now on this answers; it includes the probes. */
    readonly open: (application: Edge.Application) => Effect.Effect<void>
    /** Back to the probes alone. */
    readonly close: Effect.Effect<void>
  }
>()("cp/http/Gate") {
  /**
   * Starts to serve. `api` is the whole definition: its access rules hold from the first request on. `probes` is the
   * `applicationOf` the routes that need nothing but this process.
   */
  static readonly layer = <Id extends string, Groups extends HttpApiGroup.Constraint, E, R>(
    api: HttpApi.HttpApi<Id, Groups>,
    probes: Effect.Effect<Edge.Application, E, R>
  ) =>
    Layer.effect(
      Gate,
      Effect.gen(function* () {
        const edge = yield* Edge.make(RouteTable.make(api))
        const whileStarting: Edge.Application = Effect.catchIf(yield* probes, isRouteNotFound, () =>
          Effect.fail(new Unavailable({ error: "service is starting" }))
        )
        let application = whileStarting
        yield* HttpServer.serveEffect(edge(Effect.suspend(() => application)))
        yield* HttpServer.logAddress
        return Gate.of({
          open: (next) => Effect.sync(() => void (application = next)),
          close: Effect.sync(() => void (application = whileStarting))
        })
      })
    )

  /** Opens the gate once the application, and with it all it needs, has been built. */
  static readonly layerOpen = <E, R>(application: Effect.Effect<Edge.Application, E, R>) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const gate = yield* Gate
        yield* gate.open(yield* application)
        yield* Effect.addFinalizer(() => gate.close)
      })
    )
}
