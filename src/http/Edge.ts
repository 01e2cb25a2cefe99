import { Cause, Context, Effect, type Fiber, Option, type Scope } from "effect"
import { HttpPlatform, HttpServerRequest, HttpServerResponse } from "effect/http"
import { AppConfig } from "../config.ts"
import { findUnavailable, reasonOf } from "../db/unavailable.ts"
import { isWireError, type WireError } from "../wire/catalogue.ts"
import { Internal, Unavailable } from "../wire/errors.ts"
import { AccessLog } from "./AccessLog.ts"
import * as Admission from "./Admission.ts"
import * as ApiKeys from "./ApiKeys.ts"
import * as ClientIp from "./ClientIp.ts"
import * as Compression from "./Compression.ts"
import * as Cors from "./Cors.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { Drain } from "./Drain.ts"
import { errorResponse } from "./ErrorResponse.ts"
import * as Exchange from "./Exchange.ts"
import * as HttpMetrics from "./HttpMetrics.ts"
import { RateLimiter, type Window } from "./RateLimiter.ts"
import * as RateLimits from "./RateLimits.ts"
import { RefusedCredentials } from "./RefusedCredentials.ts"
import type { RouteTable } from "./RouteTable.ts"
import { Shortcuts } from "./Shortcuts.ts"

type Response = HttpServerResponse.HttpServerResponse

/** What stands behind the edge: a router over the endpoints of the route table. */
export type Application<E = unknown> = Effect.Effect<
  Response,
  E,
  CurrentRequest | HttpServerRequest.HttpServerRequest | Scope.Scope
>

const unavailable = new Unavailable({})
const internal = new Internal({})

const UNAUTHORIZED = 401
/** Logged for a client that left before its answer. */
const CLIENT_CLOSED = 499

const OUTAGE_LOG_MS = 5000

/** A response that varies by something of its own varies by origin as well. */
const mergeVary = ({ isApi }: Exchange.Exchange, response: Response): Response => {
  const vary = response.headers["vary"]
  return vary === undefined || !isApi
    ? response
    : HttpServerResponse.setHeader(response, "vary", `Origin, ${vary}`)
}

/**
 * Everything every request meets before and after its handler, in this order: request id, `OPTIONS`, credential, rate
 * limit, rest of the admission; then the headers, compression, counting and logging of the answer.
 */
export const make = Effect.fnUntraced(function* (table: RouteTable) {
  const { keys, production, rateLimit, server } = yield* AppConfig
  const accessLog = yield* AccessLog
  const drain = yield* Drain
  const platform = yield* HttpPlatform.HttpPlatform
  const shortcuts = yield* Shortcuts
  const context = yield* Effect.context<never>()
  const count = HttpMetrics.make(context)
  const apiKeys = ApiKeys.make(keys.apiKeys, production)
  const clientIp = ClientIp.make(rateLimit.clientIpHeader, rateLimit.trustedProxyHops)
  const refused = yield* RefusedCredentials
  const limits = RateLimits.make(yield* RateLimiter, apiKeys.isOpen, clientIp, context)
  const cors = Cors.make(server.corsOrigins, production)
  const preflight = HttpServerResponse.empty({ headers: cors.preflight })

  let outageLoggedAt = Number.NEGATIVE_INFINITY

  /** Headers of every answer, whatever becomes of the request; those of a response win over them. */
  const dress = ({ answer, id, isApi, source }: Exchange.Exchange) => {
    const { edgeHeaders } = answer
    edgeHeaders["x-request-id"] = id
    edgeHeaders["x-content-type-options"] = "nosniff"
    edgeHeaders["cache-control"] = "no-store"
    Object.assign(edgeHeaders, isApi ? cors.api(source.headers.origin) : cors.documents)
  }

  /** Counts and logs; the status is what the client gets, or would have. */
  const record = (exchange: Exchange.Exchange, status: number) => {
    const { id, path, principal, request, startedAt } = exchange
    const ms = performance.now() - startedAt
    const route = Exchange.templateOf(exchange)
    count(request.method, route, status, ms)
    if (status === UNAUTHORIZED) refused.note(clientIp(exchange.source))
    accessLog.write({
      requestId: id,
      method: request.method,
      path,
      route,
      status,
      ms,
      actor: principal.actorId
    })
  }

  const finish = (exchange: Exchange.Exchange, response: Response): Effect.Effect<Response> => {
    record(exchange, response.status)
    const { body, headers } = response
    exchange.answer.isCounted =
      body._tag === "Uint8Array" && headers["content-length"] === String(body.contentLength)
    if (drain.active()) exchange.answer.edgeHeaders["connection"] = "close"
    if (!Compression.isCompressible(response)) return Effect.succeed(mergeVary(exchange, response))
    const accept = exchange.source.headers["accept-encoding"]
    return Effect.map(Compression.compress(platform, response, accept), (coded) => mergeVary(exchange, coded))
  }

  const refuse = (exchange: Exchange.Exchange, error: WireError): Effect.Effect<Response> => {
    const allow = exchange.resource?.allow
    const headers = error.code === "METHOD_NOT_ALLOWED" && allow !== undefined ? { allow } : undefined
    return finish(exchange, errorResponse(error, { baseUrl: server.baseUrl, ...exchange }, headers))
  }

  const fail = Effect.fnUntraced(function* (exchange: Exchange.Exchange, cause: Cause.Cause<unknown>) {
    if (Cause.hasInterruptsOnly(cause)) {
      record(exchange, CLIENT_CLOSED)
      return yield* Effect.failCause(cause as Cause.Cause<never>) // has interrupts only
    }
    const expected = Cause.findErrorOption(cause).pipe(Option.filter(isWireError))
    if (Option.isSome(expected)) return yield* refuse(exchange, expected.value)
    const outage = findUnavailable(cause)
    if (Option.isSome(outage)) {
      // every request fails the same way; the access log has each of them
      if (exchange.startedAt - outageLoggedAt > OUTAGE_LOG_MS) {
        outageLoggedAt = exchange.startedAt
        yield* Effect.logWarning(`database unavailable: ${reasonOf(outage.value)}`)
      }
      return yield* refuse(exchange, unavailable)
    }
    yield* Effect.logError("request failed", cause)
    return yield* refuse(exchange, internal)
  })

  /** The answer to a request that may have one. */
  const serve = (
    application: Application,
    fiber: Fiber.Fiber<unknown, unknown>,
    exchange: Exchange.Exchange
  ): Effect.Effect<Response> => {
    const { request } = exchange
    const known = shortcuts.find(exchange.route.key)?.(request, exchange.principal)
    if (known !== undefined) return finish(exchange, known)

    let context = Context.add(fiber.context, CurrentRequest, exchange)
    if (exchange.target !== request.url) {
      const literal = request.modify({ url: exchange.target })
      context = Context.add(context, HttpServerRequest.HttpServerRequest, literal)
    }
    fiber.setContext(context) // the server adapter restores it when the request ends
    // what it still requires is in the context that was just set
    return Effect.matchCauseEffect(application as Effect.Effect<Response, unknown>, {
      onSuccess: (response) => finish(exchange, response),
      onFailure: (cause) => fail(exchange, cause)
    })
  }

  return (application: Application): Effect.Effect<Response, never, HttpServerRequest.HttpServerRequest> =>
    Effect.withFiber((fiber) => {
      const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
      const exchange = Exchange.begin(request, table.find)
      drain.enter()
      exchange.answer.once("close", drain.leave)
      dress(exchange)

      if (request.method === "OPTIONS") return finish(exchange, preflight)
      const malformation = Admission.malformationOf(exchange)
      if (malformation !== undefined) return refuse(exchange, malformation)
      const unauthorised = Admission.credentialRefusalOf(exchange, apiKeys)

      const proceed = (window: Window | undefined, now: number): Effect.Effect<Response> => {
        const limited = window === undefined ? undefined : limits.settle(exchange.answer, window, now)
        const refusal = limited ?? unauthorised ?? Admission.refusalOf(exchange)
        return refusal === undefined ? serve(application, fiber, exchange) : refuse(exchange, refusal)
      }
      const taken = limits.take(exchange)
      if (!Effect.isEffect(taken)) return proceed(taken, exchange.startedAt)
      const counted = Effect.onInterrupt(taken, () => Effect.sync(() => record(exchange, CLIENT_CLOSED)))
      return Effect.flatMap(counted, (window) => proceed(window, performance.now()))
    })
})
