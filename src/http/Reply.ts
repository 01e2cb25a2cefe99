import type { Schema } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { linkToNext } from "../wire/page.ts"

type Headers = Readonly<Record<string, string>>

export interface ReplyOptions {
  /** 200 unless given. */
  readonly status?: number
  readonly headers?: Headers
}

/**
 * Maker of JSON answers of the given form. The value is written as it is: the schema is checked by the compiler and
 * documents the route, but encodes nothing at run time, which would cost more than everything else in a small answer.
 */
export const json =
  <S extends Schema.Top>(_schema: S) =>
  (body: S["Encoded"], options?: ReplyOptions): HttpServerResponse.HttpServerResponse =>
    HttpServerResponse.jsonUnsafe(body, options)

/** JSON that is a text already: stored documents and cached answers, byte for byte. */
export const text = (body: string, options?: ReplyOptions): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(body, { ...options, contentType: "application/json" })

/** Headers of a list page: `Link` to the next one, if there is one. */
export const pageHeaders = (
  request: HttpServerRequest.HttpServerRequest,
  nextCursor: string | null
): Headers => (nextCursor === null ? {} : { link: linkToNext(request.url, nextCursor) })
