import * as NodeDns from "@effect/platform-node/NodeDns"
import { Context, Effect, Layer } from "effect"
import { Dns } from "effect/net/Dns"
import { Agent } from "undici"
import { guardedConnector } from "./connector.ts"
import { Exchange } from "./Exchange.ts"
import { type OutboundRequest, type OutboundResponse, type RequestFailed, TargetRefused } from "./model.ts"
import { makeResolve } from "./names.ts"
import type { TargetPolicy } from "./policy.ts"
import { addressesRefusal, readTarget } from "./target.ts"

/** Connections to one origin at once; further requests wait for one, within their own limits. */
const MAX_CONNECTIONS = 256
/** Below the five seconds after which common servers close idle connections, so that none is written to as it closes. */
const IDLE_MS = 4000
/** A connection that is never idle is renewed after this time, so that changed names are followed. */
const CONNECTION_TTL_MS = 300_000
const MAX_HEADER_BYTES = 16_384

/** The one client for requests that leave the service. */
export class Egress extends Context.Service<
  Egress,
  {
    /**
     * The verdict on a URL without connecting to it: its form, scheme, host and port, and that it resolves, within
     * three seconds, to addresses that are all allowed.
     */
    readonly judge: (url: string, policy: TargetPolicy) => Effect.Effect<void, TargetRefused>
    /**
     * Sends a request to a target that the policy allows, judged by the address that the socket is connected to.
     * Interruption closes the connection. A name that cannot be resolved now is a failure, not a refusal.
     */
    readonly send: (
      request: OutboundRequest
    ) => Effect.Effect<OutboundResponse, TargetRefused | RequestFailed>
  }
>()("cp/egress/Egress") {
  static readonly layerNoDeps = Layer.effect(
    Egress,
    Effect.gen(function* () {
      const resolve = yield* makeResolve(yield* Dns)
      const context = yield* Effect.context<never>()
      const agents = new Map<string, Agent>()
      yield* Effect.addFinalizer(() =>
        Effect.promise(() => Promise.all(Array.from(agents.values(), (agent) => agent.destroy())))
      )

      /** Connections are shared only among requests that would be judged alike. */
      const agentFor = ({ policy, connectTimeoutMs }: OutboundRequest): Agent => {
        const key = `${connectTimeoutMs} ${policy.allowHttp} ${policy.allowCidrs.join(" ")}`
        const known = agents.get(key)
        if (known !== undefined) return known
        const agent = new Agent({
          connect: guardedConnector({ policy, connectTimeoutMs, resolve, context }),
          connections: MAX_CONNECTIONS,
          keepAliveTimeout: IDLE_MS,
          keepAliveMaxTimeout: IDLE_MS,
          clientTtl: CONNECTION_TTL_MS,
          maxHeaderSize: MAX_HEADER_BYTES,
          allowH2: false,
          // An exchange keeps its own time, to the millisecond and for the whole body.
          headersTimeout: 0,
          bodyTimeout: 0
        })
        agents.set(key, agent)
        return agent
      }

      const judge = Effect.fn("Egress.judge")(function* (text: string, policy: TargetPolicy) {
        const { place } = yield* Effect.fromResult(readTarget(text, policy))
        const addresses = yield* Effect.mapError(
          resolve(place.hostname),
          ({ reason }) => new TargetRefused({ rule: "resolve", reason })
        )
        const refusal = addressesRefusal(place, addresses, policy)
        if (refusal !== undefined) return yield* refusal
      })

      const send = Effect.fn("Egress.send")(function* (request: OutboundRequest) {
        const { url } = yield* Effect.fromResult(readTarget(request.url, request.policy))
        return yield* Effect.callback<OutboundResponse, TargetRefused | RequestFailed>((resume) => {
          const exchange = new Exchange(request, resume)
          agentFor(request).dispatch(
            {
              origin: url.origin,
              path: url.pathname + url.search,
              method: request.method,
              headers: { ...request.headers, "accept-encoding": "identity" },
              body: request.body ?? null
            },
            exchange
          )
          exchange.begin()
          return Effect.sync(() => exchange.abandon())
        })
      })

      return Egress.of({ judge, send })
    })
  )

  /** Resolves names as the operating system does. */
  static readonly layer = this.layerNoDeps.pipe(Layer.provide(NodeDns.layer))
}
