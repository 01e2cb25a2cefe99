import { Context } from "effect"
import type { Principal } from "../access/Principal.ts"
import type { Route } from "./RouteTable.ts"

/**
 * What the edge found out about the request before the handler runs. Provided to every handler; one service, because
 * each one costs every request.
 */
export class CurrentRequest extends Context.Service<
  CurrentRequest,
  {
    /** `x-request-id`: the caller's, or one made here. */
    readonly id: string
    readonly principal: Principal
    readonly route: Route
    /** Errors go out as `application/problem+json`. */
    readonly wantsProblem: boolean
  }
>()("cp/http/CurrentRequest") {}
