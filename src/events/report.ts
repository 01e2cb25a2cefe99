import { Result } from "effect"
import { BodyInvalid, PayloadTooLarge } from "../wire/errors.ts"
import { deeperThan, MAX_PAYLOAD_DEPTH } from "./normalise.ts"

/** Limits of one ingest request (contract §6.4). */
export interface ReportLimits {
  readonly maxEvents: number
  /** UTF-8 bytes of one item's payload as JSON. */
  readonly maxPayloadBytes: number
}

const MAX_TYPE_SHOWN = 128

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? Reflect.get(value, name) : undefined

/** The items of a report: an array, or an object's `events`; any other JSON value reports nothing. */
const itemsOf = (body: unknown): Result.Result<ReadonlyArray<unknown>, BodyInvalid> => {
  if (Array.isArray(body)) return Result.succeed(body)
  const events = memberOf(body, "events")
  if (events === undefined || events === null) return Result.succeed([])
  return Array.isArray(events)
    ? Result.succeed(events)
    : Result.fail(new BodyInvalid({ error: "events must be an array" }))
}

/** Too deep a payload is not measured: its item is dropped anyway, and serialising it would exhaust the stack. */
const payloadBytes = (item: unknown): number => {
  const payload = memberOf(item, "payload")
  const counted = typeof payload === "object" && payload !== null ? payload : item
  return deeperThan(MAX_PAYLOAD_DEPTH + 1, counted) ? 0 : Buffer.byteLength(JSON.stringify(counted))
}

const tooLarge = (item: unknown): PayloadTooLarge => {
  const type = memberOf(item, "type")
  return new PayloadTooLarge({
    error: "the payload of an event is too large",
    eventType: typeof type === "string" && type !== "" ? type.slice(0, MAX_TYPE_SHOWN) : "unknown"
  })
}

/**
 * Takes the items out of a parsed request body, or refuses the whole of it.
 * @param bodyBytes size of the body: while it is within the limit of one payload, none needs measuring
 */
export const readReport = (
  body: unknown,
  bodyBytes: number,
  limits: ReportLimits
): Result.Result<ReadonlyArray<unknown>, BodyInvalid | PayloadTooLarge> =>
  Result.flatMap(itemsOf(body), (items) => {
    if (items.length > limits.maxEvents) {
      return Result.fail(
        new PayloadTooLarge({ error: `more than ${limits.maxEvents} events in one request` })
      )
    }
    const oversized =
      bodyBytes > limits.maxPayloadBytes
        ? items.find((item) => payloadBytes(item) > limits.maxPayloadBytes)
        : undefined
    return oversized === undefined ? Result.succeed(items) : Result.fail(tooLarge(oversized))
  })
