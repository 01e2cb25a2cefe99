import { Effect } from "effect"
import { HttpPlatform, HttpServerResponse } from "effect/http"

/**
 * Response compression. The platform's middleware is not used: it weakens ETags, which are strong here, and would
 * compress event streams. The work itself is the platform's and runs off the event loop.
 */

const MIN_BYTES = 1024

/** Cheap enough for answers that are made once and sent once. */
const LEVELS = { br: 4, gzip: 6 } as const

type Algorithm = keyof typeof LEVELS

const COMPRESSIBLE =
  /^(?:application\/(?:[\w.-]+\+)?json|application\/(?:x-ndjson|jsonl|javascript)|text\/(?!event-stream))/

/** Weight of a coding in an `Accept-Encoding` value; undefined when it is not named. */
const weightOf = (accept: string, coding: string): number | undefined => {
  for (const member of accept.toLowerCase().split(",")) {
    const [name, ...parameters] = member.split(";").map((part) => part.trim())
    if (name !== coding) continue
    const q = parameters.find((parameter) => parameter.startsWith("q="))
    return q === undefined ? 1 : Number(q.slice(2)) || 0
  }
  return undefined
}

/** The better coding the client takes; brotli on a tie. */
export const negotiate = (accept: string | undefined): Algorithm | undefined => {
  if (accept === undefined) return undefined
  const any = weightOf(accept, "*") ?? 0
  const br = weightOf(accept, "br") ?? any
  const gzip = weightOf(accept, "gzip") ?? any
  if (br <= 0 && gzip <= 0) return undefined
  return br >= gzip ? "br" : "gzip"
}

/** Whether the answer is worth compressing and may be. */
export const isCompressible = ({ body, headers, status }: HttpServerResponse.HttpServerResponse): boolean =>
  (body._tag === "Stream" || (body._tag === "Uint8Array" && body.contentLength >= MIN_BYTES)) &&
  status !== 206 &&
  headers["content-encoding"] === undefined &&
  headers["cache-control"]?.includes("no-transform") !== true &&
  COMPRESSIBLE.test(headers["content-type"] ?? body.contentType ?? "")

const addVary = (vary: string | undefined): string =>
  vary === undefined ? "Accept-Encoding" : `${vary}, Accept-Encoding`

/** A strong tag names one exact sequence of bytes, so each coding has its own. */
const etagOf = (etag: string, algorithm: Algorithm): string => etag.replace(/"$/, `-${algorithm}"`)

/** The answer as the client may have it; only for answers that `isCompressible`. */
export const compress = (
  platform: HttpPlatform.HttpPlatform["Service"],
  response: HttpServerResponse.HttpServerResponse,
  accept: string | undefined
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const vary = addVary(response.headers["vary"])
  const algorithm = negotiate(accept)
  if (algorithm === undefined) return Effect.succeed(HttpServerResponse.setHeader(response, "vary", vary))
  const etag = response.headers["etag"]
  // A content digest is one of the bytes as sent (RFC 9530 §2): that of the uncompressed ones would be wrong.
  const undigested = HttpServerResponse.removeHeader(response, "content-digest")
  return Effect.map(
    platform.compression.compressResponse(undigested, algorithm, { level: LEVELS[algorithm] }),
    HttpServerResponse.setHeaders({
      vary,
      ...(etag === undefined ? undefined : { etag: etagOf(etag, algorithm) })
    })
  )
}
