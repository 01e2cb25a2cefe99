import type { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http"
import { open } from "../access/Access.ts"
import { anonymous, type Principal } from "../access/Principal.ts"
import type { CountedResponse } from "./CountedResponse.ts"
import { asksForProblem } from "./ErrorResponse.ts"
import { requestId } from "./RequestId.ts"
import type { Resource, Route } from "./RouteTable.ts"
import { isApiPath, pathOf, withLiteralPath } from "./Target.ts"

/** One request and its answer, as the edge knows them. Headers are read from Node: the platform copies them all. */
export interface Exchange {
  readonly id: string
  readonly request: HttpServerRequest.HttpServerRequest
  readonly source: IncomingMessage
  readonly answer: CountedResponse
  /** Request target as the router may see it. */
  readonly target: string
  readonly path: string
  readonly isApi: boolean
  /** On the clock of `performance.now`. */
  readonly startedAt: number
  readonly wantsProblem: boolean
  /** Endpoints of the path, if it has any. */
  readonly resource: Resource | undefined
  /** Set once the credential is known. */
  principal: Principal
  /** Set once the request may go on to its handler. */
  route: Route
}

/** Label of requests to paths that no endpoint has: the paths themselves would be unbounded. */
const UNKNOWN_ROUTE = "unknown"

const nowhere: Route = {
  key: "",
  method: "",
  template: UNKNOWN_ROUTE,
  access: open,
  bodyLimit: 0,
  limitedBy: "caller"
}

/** Label of the request in log and metrics. */
export const templateOf = ({ resource }: Exchange): string => resource?.template ?? UNKNOWN_ROUTE

/** What can be said of a request by looking at its head. */
export const begin = (
  request: HttpServerRequest.HttpServerRequest,
  find: (path: string) => Resource | undefined
): Exchange => {
  // the only listener there is speaks HTTP/1.1 and makes its responses of this class
  const source = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
  const answer = NodeHttpServerRequest.toServerResponse(request) as CountedResponse
  const target = withLiteralPath(request.url)
  const path = pathOf(target)
  const sentId = source.headers["x-request-id"]
  return {
    id: requestId(typeof sentId === "string" ? sentId : undefined, Date.now()),
    request,
    source,
    answer,
    target,
    path,
    isApi: isApiPath(path),
    startedAt: performance.now(),
    wantsProblem: asksForProblem(source.headers.accept),
    resource: find(path),
    principal: anonymous,
    route: nowhere
  }
}
