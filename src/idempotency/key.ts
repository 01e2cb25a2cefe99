import type { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Result } from "effect"
import type { HttpServerRequest } from "effect/http"
import { IdempotencyKeyInvalid } from "../wire/errors.ts"

const MAX_LENGTH = 255

// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u001f]/

/** An RFC 9651 string: printable ASCII in quotes; a backslash before a quote or a backslash. */
const STRUCTURED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/

/**
 * The key an `Idempotency-Key` header names. The header is specified as a structured string, but most clients send the
 * bare text: `"abc"` and `abc` are one key. What lies beyond ASCII counts byte by byte, as Node hands it over.
 */
export const readKey = (header: string): Result.Result<string, IdempotencyKeyInvalid> => {
  if (CONTROL.test(header)) return Result.fail(new IdempotencyKeyInvalid({}))
  const trimmed = header.trim()
  const quoted = STRUCTURED.exec(trimmed)?.[1]
  const key = quoted === undefined ? trimmed : quoted.replace(/\\(.)/g, "$1")
  return key === "" || key.length > MAX_LENGTH
    ? Result.fail(new IdempotencyKeyInvalid({}))
    : Result.succeed(key)
}

/** The header as sent, if it was. From Node, because the platform would copy all headers of every request. */
export const keyHeader = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { headers } = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage // the listener is HTTP/1.1
  return headers["idempotency-key"]?.toString() // Node joins repeated ones; only `set-cookie` is an array
}
