import type { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Result, Schema, SchemaIssue } from "effect"
import { HttpServerRequest } from "effect/http"
import { BodyInvalid, PayloadTooLarge } from "../wire/errors.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import * as JsonText from "./JsonText.ts"

/**
 * Request bodies, read from the Node stream: half the cost of the platform's reader, and a cap that is the route's.
 * What is left unread when an answer is sent is drained or the connection is closed by the server adapter.
 */

const collect = (request: HttpServerRequest.HttpServerRequest, limit: number) =>
  Effect.callback<Buffer, PayloadTooLarge>((resume, signal) => {
    // the only server behind this code is Node's HTTP/1.1 one
    const source = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
    if (Number(source.headers["content-length"] ?? 0) > limit) return resume(new PayloadTooLarge({}))
    if (source.headers.expect?.toLowerCase() === "100-continue") {
      ;(NodeHttpServerRequest.toServerResponse(request) as ServerResponse).writeContinue()
    }
    const chunks: Array<Buffer> = []
    let size = 0
    const stop = () => {
      source.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      stop()
      source.resume()
      resume(new PayloadTooLarge({}))
    }
    const onEnd = () => {
      stop()
      resume(Effect.succeed(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))) // index checked by the length
    }
    // the client went away: nobody reads an answer
    const onGone = () => {
      stop()
      resume(Effect.interrupt)
    }
    source.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone)
    signal.addEventListener("abort", stop)
  })

/** Bytes of the body as received, at most the route's `BodyLimit`; what enroll and register verify. */
export const bytes: Effect.Effect<
  Buffer,
  PayloadTooLarge,
  CurrentRequest | HttpServerRequest.HttpServerRequest
> = Effect.gen(function* () {
  const { route } = yield* CurrentRequest
  const request = yield* HttpServerRequest.HttpServerRequest
  return yield* collect(request, route.bodyLimit)
})

/** Bytes of the body as received, at most `limit` where that is below the route's `BodyLimit`. */
export const bytesUpTo = (limit: number) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => collect(request, limit))

const invalid = (reason: string) => new BodyInvalid({ error: `request body ${reason}` })

interface JsonOptions {
  readonly maxDepth?: number
  readonly raw?: boolean
}

const parse = (received: Buffer, options?: JsonOptions): Result.Result<unknown, BodyInvalid> => {
  const parsed = JsonText.parse(received, options?.maxDepth ?? JsonText.DEFAULT_DEPTH)
  if ("refusal" in parsed) return Result.fail(invalid(parsed.refusal))
  if (options?.raw === true) return Result.succeed(parsed.value)
  return JsonText.hasNul(parsed.text, parsed.value)
    ? Result.fail(invalid("must not contain NUL"))
    : Result.succeed(JsonText.wellFormed(parsed.text, parsed.value))
}

/** JSON body of any type. `raw` keeps strings as sent: events are cleaned by their own rules. */
export const json = (options?: JsonOptions) =>
  Effect.flatMap(bytes, (received) => Effect.fromResult(parse(received, options)))

const describeIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Names the first member that is wrong and what was expected of it, never its value. */
export const explain = (error: Schema.SchemaError): string => {
  const [issue] = describeIssue(error.issue).issues
  const path = (issue?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
  const reason = issue?.message ?? "is invalid"
  return (path === "" ? reason : `${path}: ${reason}`).slice(0, 199)
}

const asObject = (value: unknown): Result.Result<object, BodyInvalid> =>
  typeof value !== "object" || value === null || Array.isArray(value)
    ? Result.fail(invalid("must be a JSON object"))
    : Result.succeed(value)

const membersOf = <A, I>(schema: Schema.Codec<A, I>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: object) =>
    Result.mapError(decode(value), (error) => new BodyInvalid({ error: explain(error) }))
}

/**
 * Reader of a JSON object with the given members, for admin routes. Make it once, beside the handlers:
 *
 * ```ts
 * const readAnchor = Body.object(CreateTrustAnchor)
 * …
 * const input = yield* readAnchor
 * ```
 */
export const object = <A, I>(schema: Schema.Codec<A, I>) => {
  const read = membersOf(schema)
  return Effect.flatMap(json(), (value) => Effect.fromResult(Result.flatMap(asObject(value), read)))
}

/** As `object`; a request without a body counts as one with `{}`. */
export const objectOrNone = <A, I>(schema: Schema.Codec<A, I>) => {
  const read = membersOf(schema)
  return Effect.flatMap(bytes, (received) =>
    Effect.fromResult(
      received.length === 0 ? read({}) : parse(received).pipe(Result.flatMap(asObject), Result.flatMap(read))
    )
  )
}

/**
 * As `object`, for routes with an `Idempotency-Key`: that the body is a JSON object is settled before the key is looked
 * at, its members are judged by the request that runs.
 */
export const keyedObject = <A, I>(schema: Schema.Codec<A, I>) => {
  const read = membersOf(schema)
  return Effect.flatMap(bytes, (received) =>
    Effect.fromResult(
      Result.map(Result.flatMap(parse(received), asObject), (value) => ({
        /** As received. */
        received,
        members: Effect.suspend(() => Effect.fromResult(read(value)))
      }))
    )
  )
}
