import type { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Context, Effect, Option, type Scope } from "effect"
import { HttpPlatform, HttpServerRequest, HttpServerResponse } from "effect/http"
import { open as openToAll } from "../access/Access.ts"
import { anonymous, type Principal } from "../access/Principal.ts"
import { AppConfig } from "../config.ts"
import { findUnavailable, reasonOf } from "../db/unavailable.ts"
import { isWireError, type WireError } from "../wire/catalogue.ts"
import {
  BadRequest,
  Internal,
  MethodNotAllowed,
  NotFound,
  PayloadTooLarge,
  Unavailable,
  UnsupportedEncoding
} from "../wire/errors.ts"
import { AccessLog } from "./AccessLog.ts"
import * as ApiKeys from "./ApiKeys.ts"
import * as Compression from "./Compression.ts"
import * as Cors from "./Cors.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { Drain } from "./Drain.ts"
import { asksForProblem, errorResponse } from "./ErrorResponse.ts"
import * as HttpMetrics from "./HttpMetrics.ts"
import { requestId } from "./RequestId.ts"
import type { Resource, Route, RouteTable } from "./RouteTable.ts"
import { Shortcuts } from "./Shortcuts.ts"
import { isDecodable, pathOf, withLiteralPath } from "./Target.ts"

type Response = HttpServerResponse.HttpServerResponse

/** What stands behind the edge: a router over the endpoints of the route table. */
export type Application<E = unknown> = Effect.Effect<
  Response,
  E,
  CurrentRequest | HttpServerRequest.HttpServerRequest | Scope.Scope
>

/** Label of requests to paths that no endpoint has: the paths themselves would be unbounded. */
const UNKNOWN_ROUTE = "unknown"

/** Stands in for the route until one is reached. */
const nowhere: Route = { key: "", method: "", template: UNKNOWN_ROUTE, access: openToAll, bodyLimit: 0 }

// rendered, never thrown: one value each serves all requests
const notFound = new NotFound({})
const methodNotAllowed = new MethodNotAllowed({})
const undecodable = new BadRequest({ error: "path has an invalid escape" })
const tooLarge = new PayloadTooLarge({})
const compressedBody = new UnsupportedEncoding({})
const unavailable = new Unavailable({})
const internal = new Internal({})

/** Logged for a client that left before its answer. */
const CLIENT_CLOSED = 499

const OUTAGE_LOG_MS = 5000

/** What is known of a request while it is looked at. */
interface Exchange {
  readonly id: string
  readonly request: HttpServerRequest.HttpServerRequest
  readonly path: string
  readonly isApi: boolean
  readonly startedAt: number
  readonly wantsProblem: boolean
  /** Label of log and metrics. */
  readonly template: string
  principal: Principal
  route: Route
}

const isApiPath = (path: string): boolean => path.startsWith("/api/") || path === "/api"

const hasCompressedBody = (headers: IncomingMessage["headers"]): boolean => {
  const coding = headers["content-encoding"]
  return coding !== undefined && coding.trim().toLowerCase() !== "identity"
}

/**
 * Everything every request meets before and after its handler, in this order: request id, `OPTIONS`, credential, route
 * and method, body size; then the headers, compression, counting and logging of the answer.
 */
export const make = Effect.fnUntraced(function* (table: RouteTable) {
  const { keys, production, server } = yield* AppConfig
  const accessLog = yield* AccessLog
  const drain = yield* Drain
  const platform = yield* HttpPlatform.HttpPlatform
  const shortcuts = yield* Shortcuts
  const count = HttpMetrics.make(yield* Effect.context<never>())
  const apiKeys = ApiKeys.make(keys.apiKeys, production)
  const cors = Cors.make(server.corsOrigins, production)

  let outageLoggedAt = Number.NEGATIVE_INFINITY

  const refuse = (exchange: Exchange, error: WireError, headers?: Readonly<Record<string, string>>) =>
    errorResponse(error, { baseUrl: server.baseUrl, ...exchange }, headers)

  /** The answer the edge itself gives; undefined when the request may go on. */
  const admit = (exchange: Exchange, source: IncomingMessage, resource: Resource | undefined) => {
    const { isApi, request } = exchange
    if (request.method === "OPTIONS") return HttpServerResponse.empty({ headers: cors.preflight })

    const route = resource?.byMethod.get(request.method)
    const { authorization } = source.headers
    const admission =
      route !== undefined
        ? apiKeys.admit(authorization, route.access)
        : isApi
          ? apiKeys.admitUnknown(authorization)
          : anonymous
    if (isWireError(admission)) return refuse(exchange, admission)
    exchange.principal = admission

    // Rate limits belong here: after the credential that names the bucket, before anything is looked up or read. A
    // request refused above is counted in `public-ip` first.

    if (resource === undefined) return refuse(exchange, isDecodable(exchange.path) ? notFound : undecodable)
    if (route === undefined) return refuse(exchange, methodNotAllowed, { allow: resource.allow })
    if (!isDecodable(exchange.path)) return refuse(exchange, undecodable)
    if (hasCompressedBody(source.headers)) return refuse(exchange, compressedBody)
    if (Number(source.headers["content-length"] ?? 0) > route.bodyLimit) return refuse(exchange, tooLarge)
    exchange.route = route
    return undefined
  }

  /** Counts and logs; the status is what the client gets, or would have. */
  const record = (exchange: Exchange, status: number) => {
    const { id, path, principal, request, startedAt, template } = exchange
    const ms = performance.now() - startedAt
    count(request.method, template, status, ms)
    accessLog.write({
      requestId: id,
      method: request.method,
      path,
      route: template,
      status,
      ms,
      actor: principal.actorId
    })
  }

  /** The answer with the headers every answer has. */
  const dress = (exchange: Exchange, response: Response): Response => {
    const shared = exchange.isApi ? cors.api(exchange.request.headers["origin"]) : cors.documents
    const headers: Record<string, string> = {
      "x-request-id": exchange.id,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      ...shared,
      ...response.headers
    }
    const vary = response.headers["vary"]
    if (vary !== undefined && shared["vary"] !== undefined) headers["vary"] = `${shared["vary"]}, ${vary}`
    if (drain.active()) headers["connection"] = "close"
    return HttpServerResponse.setHeaders(response, headers)
  }

  const finish = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
    record(exchange, response.status)
    const dressed = dress(exchange, response)
    return Compression.isCompressible(dressed)
      ? Compression.compress(platform, dressed, exchange.request.headers["accept-encoding"])
      : Effect.succeed(dressed)
  }

  const fail = Effect.fnUntraced(function* (exchange: Exchange, cause: Cause.Cause<unknown>) {
    if (Cause.hasInterruptsOnly(cause)) {
      record(exchange, CLIENT_CLOSED)
      return yield* Effect.failCause(cause as Cause.Cause<never>) // has interrupts only
    }
    const expected = Cause.findErrorOption(cause).pipe(Option.filter(isWireError))
    if (Option.isSome(expected)) return yield* finish(exchange, refuse(exchange, expected.value))
    const outage = findUnavailable(cause)
    if (Option.isSome(outage)) {
      // every request fails the same way; the access log has each of them
      if (exchange.startedAt - outageLoggedAt > OUTAGE_LOG_MS) {
        outageLoggedAt = exchange.startedAt
        yield* Effect.logWarning(`database unavailable: ${reasonOf(outage.value)}`)
      }
      return yield* finish(exchange, refuse(exchange, unavailable))
    }
    yield* Effect.logError("request failed", cause)
    return yield* finish(exchange, refuse(exchange, internal))
  })

  return (application: Application): Effect.Effect<Response, never, HttpServerRequest.HttpServerRequest> =>
    Effect.withFiber((fiber) => {
      const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
      const source = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage // the listener is HTTP/1.1
      const target = withLiteralPath(request.url)
      const path = pathOf(target)
      const resource = table.find(path)
      const exchange: Exchange = {
        id: requestId(request.headers["x-request-id"], Date.now()),
        request,
        path,
        isApi: isApiPath(path),
        startedAt: performance.now(),
        wantsProblem: asksForProblem(request.headers["accept"]),
        template: resource?.template ?? UNKNOWN_ROUTE,
        principal: anonymous,
        route: nowhere
      }
      drain.enter()
      ;(NodeHttpServerRequest.toServerResponse(request) as ServerResponse).once("close", drain.leave)

      const refusal = admit(exchange, source, resource)
      if (refusal !== undefined) return finish(exchange, refusal)

      const known = shortcuts.find(exchange.route.key)?.(request, exchange.principal)
      if (known !== undefined) return finish(exchange, known)

      let context = Context.add(fiber.context, CurrentRequest, exchange)
      if (target !== request.url) {
        context = Context.add(context, HttpServerRequest.HttpServerRequest, request.modify({ url: target }))
      }
      fiber.setContext(context) // the server adapter restores it when the request ends
      return Effect.matchCauseEffect(application as Effect.Effect<Response, unknown>, {
        onSuccess: (response) => finish(exchange, response),
        onFailure: (cause) => fail(exchange, cause)
      })
    })
})
