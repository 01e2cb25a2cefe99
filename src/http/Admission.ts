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
 * Why a request does not get to its handler; undefined lets it, with `principal` and `route` set. The order is part of
 * the contract: credential, then path and method, then size, so that nobody learns without a key what exists.
 */
export const refusalOf = (exchange: Exchange, apiKeys: ApiKeys): WireError | undefined => {
  const { isApi, path, request, resource, source } = exchange
  // RFC 9112 §3.2; 1.0 knows no such header
  const hosts = hostsOf(source)
  if (hosts > 1 || (hosts === 0 && source.httpVersionMinor === 1)) return hostless

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

  // Rate limits belong here: after the credential that names the bucket, before anything is looked up or read. A
  // request refused above is counted in `public-ip` first.

  if (!isDecodable(path)) return undecodable
  if (resource === undefined) return notFound
  if (route === undefined) return methodNotAllowed
  if (hasCompressedBody(source.headers)) return compressedBody
  if (Number(source.headers["content-length"] ?? 0) > route.bodyLimit) return tooLarge
  exchange.route = route
  return undefined
}
