import type { IncomingMessage } from "node:http"
import { anonymous } from "../access/Principal.ts"
import { isWireError, type WireError } from "../wire/catalogue.ts"
import {
  BadRequest,
  MethodNotAllowed,
  NotFound,
  PayloadTooLarge,
  UnsupportedEncoding
} from "../wire/errors.ts"
import type { ApiKeys } from "./ApiKeys.ts"
import type { Exchange } from "./Exchange.ts"
import { isDecodable } from "./Target.ts"

// rendered, never thrown: one value each serves all requests
const hostless = new BadRequest({ error: "exactly one Host header is needed" })
const undecodable = new BadRequest({ error: "path has an invalid escape or character" })
const notFound = new NotFound({})
const methodNotAllowed = new MethodNotAllowed({})
const compressedBody = new UnsupportedEncoding({})
const tooLarge = new PayloadTooLarge({})

const hasCompressedBody = (headers: IncomingMessage["headers"]): boolean => {
  const coding = headers["content-encoding"]
  return coding !== undefined && coding.trim().toLowerCase() !== "identity"
}

/** How many `Host` lines came; Node's parsed headers keep only the first. */
const hostsOf = ({ rawHeaders }: IncomingMessage): number => {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1
  }
  return hosts
}

/**
 * Why a request does not get to its handler, in three steps; undefined lets it go on. Their order is part of the
 * contract: credential, then rate limit, then path and method, then size, so that nobody learns without a key what
 * exists, and nobody tries keys for ever.
 */

/** Of a request that proxies and this service may read differently (RFC 9112 §3.2). */
export const malformationOf = ({ source }: Exchange): WireError | undefined => {
  const hosts = hostsOf(source)
  return hosts > 1 || (hosts === 0 && source.httpVersionMinor === 1) ? hostless : undefined // 1.0 knows no such header
}

/** Sets the principal, when there is one. */
export const credentialRefusalOf = (exchange: Exchange, apiKeys: ApiKeys): WireError | undefined => {
  const { isApi, request, resource, source } = exchange
  const route = resource?.byMethod.get(request.method)
  const { authorization } = source.headers
  const admission =
    route !== undefined
      ? apiKeys.admit(authorization, route.access)
      : isApi
        ? apiKeys.admitUnknown(authorization)
        : anonymous
  if (isWireError(admission)) return admission
  exchange.principal = admission
  return undefined
}

/** Sets the route. */
export const refusalOf = (exchange: Exchange): WireError | undefined => {
  const { path, request, resource, source } = exchange
  const route = resource?.byMethod.get(request.method)
  if (!isDecodable(path)) return undecodable
  if (resource === undefined) return notFound
  if (route === undefined) return methodNotAllowed
  if (hasCompressedBody(source.headers)) return compressedBody
  if (Number(source.headers["content-length"] ?? 0) > route.bodyLimit) return tooLarge
  exchange.route = route
  return undefined
}
