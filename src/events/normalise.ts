import { canonicalJson } from "../aitp/jcs.ts"
import { idFromContent, idFromName } from "./event-id.ts"
import type { NewEvent } from "./model.ts"
import { clean } from "./sanitise.ts"
import { reservedSources } from "./types.ts"

/** Deepest nesting of one reported payload. */
export const MAX_PAYLOAD_DEPTH = 64

/** Longest value of each field, in Unicode code points. */
const maxLength = {
  type: 128,
  source: 128,
  aidA: 512,
  aidB: 512,
  sessionId: 255,
  runId: 255,
  namespace: 128
} as const

/** Why an item was not taken; the rest of its batch is. */
export interface Dropped {
  readonly field: string
  readonly reason: string
}

export type Normalised =
  | {
      readonly _tag: "event"
      readonly event: Omit<NewEvent, "id">
      readonly name: string | undefined
      readonly timed: boolean
      readonly sanitised: boolean
    }
  | ({ readonly _tag: "dropped" } & Dropped)

type Item = Readonly<Record<string, unknown>>

const isItem = (value: unknown): value is Item =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === "string"

/** Flat events are normal: an item without a payload object is its own payload. */
const payloadOf = (item: Item): object =>
  typeof item.payload === "object" && item.payload !== null ? item.payload : item

/** The first of the values that is a non-empty string. */
const firstText = (...values: ReadonlyArray<unknown>): string | null => {
  for (const value of values) if (typeof value === "string" && value !== "") return value
  return null
}

/** Whether a parsed value nests deeper than `levels`; looks no further than that. */
export const deeperThan = (levels: number, value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  return levels === 0 || Object.values(value).some((member) => deeperThan(levels - 1, member))
}

const codePointsExceed = (limit: number, text: string): boolean =>
  text.length > limit && (text.length > 2 * limit || [...text].length > limit)

const YEAR_1970 = 0
const YEAR_10000 = 253_402_300_800_000

/** ms since 1970 of a reported `ts`: text a `Date` parses, or a number (below 10¹² seconds, else milliseconds). */
const readTs = (ts: unknown): number | undefined => {
  const ms =
    typeof ts === "string"
      ? Date.parse(ts)
      : typeof ts === "number"
        ? ts < 1e12
          ? ts * 1000
          : ts
        : Number.NaN
  const whole = Math.floor(ms)
  return whole >= YEAR_1970 && whole < YEAR_10000 ? whole : undefined
}

const readSource = (source: unknown): string => {
  const text = firstText(source) ?? "playground"
  return reservedSources.has(text) ? `ingest:${text}` : text
}

/**
 * Reads one reported item (contract §7.2): the accepted spellings, aliases and defaults.
 * @param receivedAt ms since 1970, the time of an event that does not tell its own
 * @param mayBeUnclean whether the body it came in can hold what {@link clean} removes
 */
export const normalise = (reported: Item, receivedAt: number, mayBeUnclean: boolean): Normalised => {
  if (deeperThan(MAX_PAYLOAD_DEPTH, payloadOf(reported)) || deeperThan(MAX_PAYLOAD_DEPTH + 1, reported)) {
    return { _tag: "dropped", field: "payload", reason: `nested deeper than ${MAX_PAYLOAD_DEPTH} levels` }
  }
  const cleaned = mayBeUnclean ? clean(reported) : reported
  const item = isItem(cleaned) ? cleaned : reported
  const payload = payloadOf(item)
  const inPayload: Item = isItem(payload) ? payload : {}
  const playground = isItem(item.playground) ? item.playground : {}
  const ts = readTs(item.ts)
  const fields = {
    type: firstText(item.type) ?? "unknown",
    source: readSource(item.source),
    aidA: firstText(item.aidA, item.aid_a, item.initiator),
    aidB: firstText(item.aidB, item.aid_b, item.target),
    sessionId: firstText(item.sessionId, item.session_id),
    runId: firstText(item.runId, item.run_id, playground.run_id),
    namespace: firstText(item.namespace, inPayload.namespace)
  }
  for (const [field, limit] of Object.entries(maxLength)) {
    const value = fields[field as keyof typeof maxLength] // the keys of both objects are the same
    if (value !== null && codePointsExceed(limit, value)) {
      return { _tag: "dropped", field, reason: `longer than ${limit} characters` }
    }
  }
  return {
    _tag: "event",
    name: firstText(item.id) ?? undefined,
    timed: ts !== undefined,
    sanitised: item !== reported,
    event: {
      ...fields,
      ts: ts ?? receivedAt,
      grants: Array.isArray(item.grants) && item.grants.every(isText) ? item.grants : null,
      capability: firstText(inPayload.capability),
      payload: JSON.stringify(payload),
      artifacts: null,
      content: canonicalJson(item)
    }
  }
}

/** A batch of reported items, read; `dropped` and `events` keep the index the item had in the request. */
export interface Batch {
  readonly events: ReadonlyArray<NewEvent>
  readonly dropped: ReadonlyArray<Dropped & { readonly index: number }>
  /** Items stored in a cleaned form. */
  readonly sanitised: number
}

/**
 * Reads all items of a request; what is no object is skipped and counted nowhere.
 * @param reporter fingerprint of the caller, part of derived ids
 * @param newId ids for events that bring neither an id nor a time of their own
 */
export const normaliseBatch = (
  items: ReadonlyArray<unknown>,
  context: {
    readonly reporter: string
    readonly receivedAt: number
    readonly mayBeUnclean: boolean
    readonly newId: () => string
  }
): Batch => {
  const events: Array<NewEvent> = []
  const dropped: Array<Dropped & { readonly index: number }> = []
  const repeats = new Map<string, number>()
  let sanitised = 0
  for (const [index, item] of items.entries()) {
    if (!isItem(item)) continue
    const read = normalise(item, context.receivedAt, context.mayBeUnclean)
    if (read._tag === "dropped") {
      dropped.push({ index, field: read.field, reason: read.reason })
      continue
    }
    if (read.sanitised) sanitised += 1
    events.push({ ...read.event, id: idOf(read, context, repeats) })
  }
  return { events, dropped, sanitised }
}

const idOf = (
  { event, name, timed }: Extract<Normalised, { _tag: "event" }>,
  context: { readonly reporter: string; readonly newId: () => string },
  repeats: Map<string, number>
): string => {
  if (name !== undefined) return idFromName(name, context.reporter, event.source)
  if (!timed) return context.newId()
  const repeat = repeats.get(event.content) ?? 0
  repeats.set(event.content, repeat + 1)
  return idFromContent(event.content, context.reporter, repeat)
}
