import { Effect, Layer, Option } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"
import { AppConfig } from "../config.ts"
import { isWireError, type WireError } from "../wire/catalogue.ts"
import { BadRequest, BodyInvalid, PayloadTooLarge } from "../wire/errors.ts"
import { explain } from "./Body.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { errorResponse } from "./ErrorResponse.ts"
import { pathOf } from "./Target.ts"

/** The public error of a failed handler; undefined when the failure is a defect of ours. */
const publicError = (failure: unknown): WireError | undefined => {
  if (isWireError(failure)) return failure
  if (!HttpApiError.HttpApiSchemaError.is(failure)) return undefined
  switch (failure.kind) {
    case "Params":
    case "Query":
    case "Headers":
      return new BadRequest({ error: explain(failure.cause) })
    case "Payload":
      return new BodyInvalid({ error: explain(failure.cause) })
    case "Body":
    case "ResponseHeaders":
      return undefined
  }
}

/**
 * Answers the public errors of handlers with their headers and in the asked form, and undecodable requests with 400
 * instead of an empty body. Once for all endpoints: `HttpApi.make(…).add(…).middleware(WireErrors)`; the layer goes
 * below the handler groups.
 */
export class WireErrors extends HttpApiMiddleware.Service<WireErrors>()("cp/http/WireErrors", {
  // what readers of queries and bodies fail with on any endpoint, so that none has to declare it
  error: [BadRequest, PayloadTooLarge]
}) {
  static readonly layer = Layer.effect(
    WireErrors,
    Effect.gen(function* () {
      const { baseUrl } = (yield* AppConfig).server
      const answer = Effect.fnUntraced(function* (failure: unknown) {
        const error = publicError(failure)
        if (error === undefined) return yield* Effect.die(failure)
        // optional, because a middleware can ask for services only where its layer is built
        const current = yield* Effect.serviceOption(CurrentRequest)
        const wantsProblem = Option.isSome(current) && current.value.wantsProblem
        const { url } = yield* HttpServerRequest.HttpServerRequest
        return errorResponse(error, { baseUrl, path: pathOf(url), wantsProblem })
      })
      return WireErrors.of((handler) => Effect.catch(handler, answer))
    })
  )
}
