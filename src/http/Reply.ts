import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { linkToNext } from "../wire/page.ts"

type Headers = Readonly<Record<string, string>>

export interface ReplyOptions {
  /** 200 unless given. */
  readonly status?: number
  readonly headers?: Headers
}

/** JSON that is a text already: stored documents and cached answers, byte for byte. */
export const text = (body: string, options?: ReplyOptions): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(body, { ...options, contentType: "application/json" })

/** Headers of a list page: `Link` to the next one, if there is one. */
export const pageHeaders = (
  request: HttpServerRequest.HttpServerRequest,
  nextCursor: string | null
): Headers => (nextCursor === null ? {} : { link: linkToNext(request.url, nextCursor) })
