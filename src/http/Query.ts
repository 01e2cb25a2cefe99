import { Effect } from "effect"
import { HttpServerRequest } from "effect/http"
import type { Query } from "../wire/query.ts"

/** Values of the request's query parameters; fails with what the query's definition names. */
export const read = <A, E>(query: Query<A, E>): Effect.Effect<A, E, HttpServerRequest.ParsedSearchParams> =>
  Effect.flatMap(HttpServerRequest.ParsedSearchParams, (params) => Effect.fromResult(query.read(params)))
