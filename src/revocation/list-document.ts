import type { IncomingMessage } from "node:http"
import { HttpServerResponse } from "effect/http"
import * as Compression from "../http/Compression.ts"
import * as Document from "../http/Document.ts"

/** A document of which every coding was made beforehand, with the answers that carry it. */
export interface CodedDocument {
  /** Strong tag of the bytes without a coding. */
  readonly etag: string
  readonly identity: Answers
  /** Absent for documents too short to be worth it. */
  readonly coded: { readonly gzip: Answers; readonly br: Answers } | undefined
}

interface Answers {
  readonly full: HttpServerResponse.HttpServerResponse
  readonly notModified: HttpServerResponse.HttpServerResponse
}

/** Shortest body that is sent in a coding, as everywhere else. */
const MIN_BYTES = 1024

/** Makes the answers once; each coding has a tag and a digest of its own (RFC 9110 §8.8.3, RFC 9530). */
export const documentOf = (
  forms: {
    readonly body: Uint8Array
    readonly gzip: Uint8Array
    readonly br: Uint8Array
    /** Of `body`. */
    readonly sha256: Uint8Array
  },
  options: { readonly cacheControl: string }
): CodedDocument => {
  const sha256 = Buffer.from(forms.sha256)
  const etag = `"${sha256.toString("base64url").slice(0, 27)}"`
  const isCoded = forms.body.length >= MIN_BYTES
  const vary = isCoded ? { vary: "Accept-Encoding" } : {}
  const answers = (bytes: Uint8Array, coding: "br" | "gzip" | undefined): Answers => {
    const headers = {
      etag: coding === undefined ? etag : etag.replace(/"$/, `-${coding}"`),
      "cache-control": options.cacheControl,
      ...vary
    }
    return {
      full: HttpServerResponse.uint8Array(bytes, {
        contentType: "application/json",
        headers: {
          ...headers,
          "content-digest":
            coding === undefined ? `sha-256=:${sha256.toString("base64")}:` : Document.contentDigest(bytes),
          ...(coding === undefined ? {} : { "content-encoding": coding })
        }
      }),
      notModified: HttpServerResponse.empty({ status: 304, headers })
    }
  }
  return {
    etag,
    identity: answers(forms.body, undefined),
    coded: isCoded ? { gzip: answers(forms.gzip, "gzip"), br: answers(forms.br, "br") } : undefined
  }
}

/** 200 in the coding the client prefers, or 304 when it has the document in whatever coding. */
export const respond = (
  { coded, etag, identity }: CodedDocument,
  { headers }: IncomingMessage
): HttpServerResponse.HttpServerResponse => {
  const coding =
    coded === undefined ? undefined : Compression.negotiate(headers["accept-encoding"]?.toString())
  const { full, notModified } = coding === undefined || coded === undefined ? identity : coded[coding]
  return Document.matches(headers["if-none-match"], etag) ? notModified : full
}
