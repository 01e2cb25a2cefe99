import { Redacted, type Result } from "effect"
import type { OutboundResponse, RequestFailed, TargetRefused } from "../egress/model.ts"
import { MAX_RESPONSE_BYTES, type Verdict } from "./model.ts"
import { retryAfterMs } from "./retry.ts"

/** How an attempt ended, for the metric. */
export const ENDINGS = ["delivered", "rejected", "unanswered", "refused", "unsigned"] as const
export type Ending = (typeof ENDINGS)[number]

/** What an answer, or its absence, means. */
export interface Outcome {
  readonly ending: Ending
  readonly statusCode: number | null
  /** Null when delivered. */
  readonly error: string | null
  readonly response: string | null
  readonly verdict: Verdict
  /** Whether trying again cannot help. */
  readonly final: boolean
  readonly gone: boolean
  /** Pause that the receiver asked for, ms. */
  readonly retryAfterMs: number | undefined
}

/** Anything shorter is no secret, and may well stand in any answer. */
const MIN_SECRET = 8

/** Characters of an answer that an error repeats. */
const QUOTED = 200

const GONE = 410
/** Too many requests, and what a gateway says when those behind it cannot keep up. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 504])

const failed = (ending: Ending, error: string, rest: Partial<Outcome> = {}): Outcome => ({
  ending,
  error,
  statusCode: null,
  response: null,
  verdict: "down",
  final: false,
  gone: false,
  retryAfterMs: undefined,
  ...rest
})

/** Nothing was sent, because it could not be signed. */
export const unsigned = failed("unsigned", "secret cannot be read", { verdict: "none" })

/** Longest beginning of a text within so many bytes of UTF-8. */
const cut = (text: string, bytes: number): string => {
  const encoded = Buffer.from(text)
  // As a stream: a character that is cut in two is left out instead of being replaced.
  return encoded.length <= bytes
    ? text
    : new TextDecoder().decode(encoded.subarray(0, bytes), { stream: true })
}

/** A body as it is kept: text that the database takes, without the secrets of the subscription. */
export const keptResponse = (body: Uint8Array, secrets: ReadonlyArray<Redacted.Redacted<string>>): string => {
  let text = new TextDecoder().decode(body, { stream: true }).replaceAll("\0", "\uFFFD")
  for (const secret of secrets.map(Redacted.value))
    if (secret.length >= MIN_SECRET) text = text.replaceAll(secret, "[secret]")
  return cut(text, MAX_RESPONSE_BYTES)
}

const answered = (status: number, response: string | null, retryAfter: number | undefined): Outcome => {
  if (status >= 200 && status < 300) {
    return {
      ending: "delivered",
      statusCode: status,
      error: null,
      response,
      verdict: "up",
      final: true,
      gone: false,
      retryAfterMs: undefined
    }
  }
  const quoted = [...(response ?? "")].slice(0, QUOTED).join("")
  const gone = status === GONE
  return failed("rejected", `non-2xx (${status}): ${quoted}`, {
    statusCode: status,
    response,
    verdict: BUSY.has(status) ? "busy" : "down",
    final: gone,
    gone,
    retryAfterMs: retryAfter
  })
}

/**
 * What came of a request (contract §8.3). An answer counts as soon as its headers have come; any status but 2xx is a
 * failure, a redirect too.
 */
export const outcomeOf = (
  sent: Result.Result<OutboundResponse, TargetRefused | RequestFailed>,
  secrets: ReadonlyArray<Redacted.Redacted<string>>,
  nowMs: number
): Outcome => {
  if (sent._tag === "Success") {
    const { body, headers, status } = sent.success
    return answered(status, keptResponse(body, secrets), retryAfterMs(headers.get("retry-after"), nowMs))
  }
  const { failure } = sent
  if (failure._tag === "TargetRefused")
    return failed("refused", `unsafe target: ${failure.reason}`, { verdict: "none", final: true })
  return failure.status === undefined
    ? failed("unanswered", failure.reason)
    : answered(failure.status, null, undefined)
}
