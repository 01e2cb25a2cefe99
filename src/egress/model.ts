import { Schema } from "effect"
import type { TargetPolicy } from "./policy.ts"

/** One request; it is sent at most once, follows no redirect and uses no proxy. */
export interface OutboundRequest {
  readonly method: "GET" | "POST"
  /** Absolute `http:` or `https:` URL; what follows `#` is not sent. */
  readonly url: string
  /** `accept-encoding` is always sent as `identity`; `host` and `content-length` are added. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  readonly policy: TargetPolicy
  /** From the call to a usable connection: waiting for a free one, resolving, TCP, TLS. */
  readonly connectTimeoutMs: number
  /** From the call to the last header of the answer. */
  readonly headersTimeoutMs: number
  /** From the last header to the end of the body. */
  readonly bodyTimeoutMs: number
  readonly maxResponseBytes: number
}

/** The answer, whatever its status; a redirect is an answer like any other. */
export interface OutboundResponse {
  /** 200…599. */
  readonly status: number
  /** By lower-case name; several values of one name are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  /** The first `maxResponseBytes` as they came: nothing is decompressed. */
  readonly body: Uint8Array
  /** Whether the body was longer; the connection was then closed. */
  readonly truncated: boolean
  /** From the call to the end of the body, or of what was read of it; whole milliseconds. */
  readonly durationMs: number
}

/** What a target was refused for. */
export const RefusalRule = Schema.Literals([
  "url",
  "scheme",
  "credentials",
  "host",
  "port",
  "resolve",
  "address"
])

/** The guard refuses the target; `reason` is one line and names no address that the caller did not write. */
export class TargetRefused extends Schema.TaggedError<TargetRefused>()("TargetRefused", {
  rule: RefusalRule,
  reason: Schema.String
}) {}

/** The request got no complete answer; `reason` is one line without URL, header or body. */
export class RequestFailed extends Schema.TaggedError<RequestFailed>()("RequestFailed", {
  phase: Schema.Literals(["resolve", "connect", "headers", "body"]),
  reason: Schema.String,
  /** The status, when all headers of the answer had come (phase `body`). */
  status: Schema.optionalKey(Schema.Int)
}) {}
