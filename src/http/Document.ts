import { createHash } from "node:crypto"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"

/** A body that is made seldom and served often: its tag and answers are made with it. */
export interface Document {
  readonly etag: string
  readonly full: HttpServerResponse.HttpServerResponse
  readonly notModified: HttpServerResponse.HttpServerResponse
}

export interface DocumentOptions {
  /** `application/json` unless given. */
  readonly contentType?: string
  /** `no-cache` unless given: kept by clients, asked for every time. */
  readonly cacheControl?: string
  /** Any further headers of both answers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Value of `Content-Digest` (RFC 9530) for these bytes. */
export const contentDigest = (bytes: Uint8Array | string): string =>
  `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`

/** Strong tag of these bytes. */
export const etagOf = (bytes: Uint8Array | string): string =>
  `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 27)}"`

/** A document with strong `ETag` and `Content-Digest`; what is served is exactly this text. */
export const make = (text: string, options: DocumentOptions = {}): Document => {
  const etag = etagOf(text)
  const headers = { etag, "cache-control": options.cacheControl ?? "no-cache", ...options.headers }
  return {
    etag,
    full: HttpServerResponse.text(text, {
      contentType: options.contentType ?? "application/json",
      headers: { ...headers, "content-digest": contentDigest(text) }
    }),
    notModified: HttpServerResponse.empty({ status: 304, headers: { ...headers, vary: "Accept-Encoding" } })
  }
}

/** Tags as compared: weak or strong, and of whichever coding the bytes were sent in. */
const bare = (etag: string): string =>
  etag
    .trim()
    .replace(/^W\//, "")
    .replace(/-(?:br|gzip)"$/, '"')

/** Whether an `If-None-Match` value names this tag. */
export const matches = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined &&
  (ifNoneMatch.trim() === "*" || ifNoneMatch.split(",").some((candidate) => bare(candidate) === etag))

/** 200 with the document, or 304 when the client has it. */
export const respond = (
  document: Document,
  request: HttpServerRequest.HttpServerRequest
): HttpServerResponse.HttpServerResponse =>
  matches(request.headers["if-none-match"], document.etag) ? document.notModified : document.full
