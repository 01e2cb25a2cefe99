import { Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import type { Answer } from "./model.ts"

/** A route whose requests may carry an `Idempotency-Key`; made once, beside the handlers. */
export interface IdempotentRoute<Facts> {
  /** `<resource>.<act>`, as `agents.register`. */
  readonly scope: string
  /** Of the answer to a request that succeeds. */
  readonly status: number
  /** The answer to a request that was executed. */
  readonly render: (facts: Facts) => HttpServerResponse.HttpServerResponse
  /** The same answer again, from what was stored. */
  readonly replay: (answer: Answer) => HttpServerResponse.HttpServerResponse
}

/**
 * Answers are rendered from facts, the first time and at each replay; the bytes are the same because the facts are.
 * So `render` must depend on nothing else: no clock, no configuration that changes.
 */
export const idempotentRoute = <S extends Schema.Codec<unknown, unknown>>(definition: {
  readonly scope: string
  readonly status: number
  readonly facts: S
  readonly render: (facts: S["Type"]) => HttpServerResponse.HttpServerResponse
}): IdempotentRoute<S["Type"]> => {
  const { facts, render, scope, status } = definition
  const decode = Schema.decodeUnknownSync(facts)
  return {
    scope,
    status,
    render,
    replay: ({ body, facts, status }) => {
      const response =
        body !== undefined
          ? HttpServerResponse.uint8Array(body.bytes, { status, contentType: body.mediaType })
          : facts !== undefined
            ? HttpServerResponse.setStatus(render(decode(facts)), status)
            : HttpServerResponse.empty({ status })
      return HttpServerResponse.setHeader(response, "idempotency-replayed", "true")
    }
  }
}

/** A rendered answer as it is stored, for routes whose answers cannot be rendered again. */
export const renderedAnswer = (response: HttpServerResponse.HttpServerResponse): Answer => {
  const { body, status } = response
  return body._tag === "Uint8Array"
    ? { status, body: { bytes: body.body, mediaType: body.contentType } }
    : { status }
}
