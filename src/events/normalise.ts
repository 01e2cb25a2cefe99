import { canonicalJson } from "../aitp/jcs.ts"
import type { ArtifactVerification, ReadContributions, SkippedKind } from "./contributions.ts"
import { readContributions } from "./contributions.ts"
import { deeperThan, MAX_ITEM_DEPTH, MAX_PAYLOAD_DEPTH } from "./depth.ts"
import { idFromContent, idFromName } from "./event-id.ts"
import { codePointsExceed, firstText, isMembers, type Members } from "./members.ts"
import type { NewEvent } from "./model.ts"
import { artifactsText, withClaims } from "./redaction.ts"
import { clean } from "./sanitise.ts"
import type { Tokens } from "./tokens.ts"
import { canonicalType, reservedSources } from "./types.ts"
import { inspectTokens } from "./verification.ts"

export { deeperThan, MAX_PAYLOAD_DEPTH } from "./depth.ts"

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

/**
 * Largest `grants` in bytes of JSON. They are part of the leaf entry, which a tile of the transparency log can hold up to
 * 65,535 bytes (C2SP tlog-tiles): all its other members take at most 16 KiB, a character no more than 6 bytes (`\u0001`).
 */
const MAX_GRANTS_BYTES = 49_152

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
      readonly read: ReadContributions
    }
  | ({ readonly _tag: "dropped" } & Dropped)

const isText = (value: unknown): value is string => typeof value === "string"

/** Flat events are normal: an item without a payload object is its own payload. */
const payloadOf = (item: Members): object =>
  typeof item.payload === "object" && item.payload !== null ? item.payload : item

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

/** What is done about the compact tokens of a report, and about what they should prove. */
export interface ArtifactPolicy {
  /** Off: tokens are stored as they come. */
  readonly redact: boolean
  readonly verification: ArtifactVerification
  /** Limit of a payload as received, in bytes; as stored it may have twice as many. */
  readonly maxPayloadBytes: number
}

const defaultPolicy: ArtifactPolicy = { redact: true, verification: "off", maxPayloadBytes: 65_536 }

const readFields = (item: Members) => {
  const payload = payloadOf(item)
  const inPayload: Members = isMembers(payload) ? payload : {}
  const playground = isMembers(item.playground) ? item.playground : {}
  return {
    type: firstText(item.type) ?? "unknown",
    source: readSource(item.source),
    aidA: firstText(item.aidA, item.aid_a, item.initiator),
    aidB: firstText(item.aidB, item.aid_b, item.target),
    sessionId: firstText(item.sessionId, item.session_id),
    runId: firstText(item.runId, item.run_id, playground.run_id),
    namespace: firstText(item.namespace, inPayload.namespace)
  }
}

const readGrants = ({ grants }: Members): ReadonlyArray<string> | null =>
  Array.isArray(grants) && grants.every(isText) ? grants : null

/** Claims are added to a payload only while it stays within the limit; undefined when it is too large without them. */
const storedPayload = (
  payload: object,
  redacted: boolean,
  tokens: Tokens,
  maxBytes: number
): { readonly value: object; readonly text: string } | undefined => {
  const candidates = redacted ? [withClaims(payload, tokens) as object, payload] : [payload] // objects stay objects
  for (const value of candidates) {
    const text = JSON.stringify(value)
    if (!redacted || Buffer.byteLength(text) <= maxBytes) return { value, text }
  }
  return undefined
}

/**
 * Reads one reported item (contract §7.2): the accepted spellings, aliases and defaults, and what it says to the
 * projections. Ids and content are those of what was reported; everything else has stand-ins for compact tokens.
 * @param receivedAt ms since 1970, the time of an event that does not tell its own
 * @param mayBeUnclean whether the body it came in can hold what {@link clean} removes
 * @param tokens all tokens of the items of its request
 */
export const normalise = (
  reported: Members,
  receivedAt: number,
  mayBeUnclean: boolean,
  tokens: Tokens,
  policy: ArtifactPolicy
): Normalised => {
  if (deeperThan(MAX_PAYLOAD_DEPTH, payloadOf(reported)) || deeperThan(MAX_ITEM_DEPTH, reported)) {
    return { _tag: "dropped", field: "payload", reason: `nested deeper than ${MAX_PAYLOAD_DEPTH} levels` }
  }
  const cleaned = mayBeUnclean ? clean(reported) : reported
  const item = isMembers(cleaned) ? cleaned : reported
  const withoutTokens = tokens.isEmpty ? item : tokens.redact(item)
  const redacted = isMembers(withoutTokens) ? withoutTokens : item
  const received = readFields(item)
  for (const [field, limit] of Object.entries(maxLength)) {
    const value = received[field as keyof typeof maxLength] // the keys of both objects are the same
    if (value !== null && codePointsExceed(limit, value)) {
      return { _tag: "dropped", field, reason: `longer than ${limit} characters` }
    }
  }
  const ts = readTs(item.ts)
  const time = ts ?? receivedAt
  const kept = policy.redact ? redacted : item
  const stored = storedPayload(payloadOf(kept), kept !== item, tokens, 2 * policy.maxPayloadBytes)
  if (stored === undefined) {
    return { _tag: "dropped", field: "payload", reason: "too large with its tokens replaced" }
  }
  const fields = kept === item ? received : readFields(kept)
  const grants = readGrants(kept)
  if (grants !== null && Buffer.byteLength(JSON.stringify(grants)) > MAX_GRANTS_BYTES) {
    return { _tag: "dropped", field: "grants", reason: `larger than ${MAX_GRANTS_BYTES} bytes` }
  }
  const payload = payloadOf(redacted)
  const read = readContributions(
    {
      ...(redacted === kept ? fields : readFields(redacted)),
      type: canonicalType(received.type),
      ts: time,
      grants: readGrants(redacted),
      item: redacted,
      payload: isMembers(payload) ? payload : {},
      tokens
    },
    policy.verification
  )
  return {
    _tag: "event",
    name: firstText(item.id) ?? undefined,
    timed: ts !== undefined,
    sanitised: item !== reported,
    read,
    event: {
      ...fields,
      ts: time,
      grants,
      capability: isMembers(stored.value) ? firstText(stored.value.capability) : null,
      payload: stored.text,
      artifacts: kept === item ? null : artifactsText({ ...fields, grants, payload: stored.value }, tokens),
      content: canonicalJson(item),
      contributions: read.contributions
    }
  }
}

/** A batch of reported items, read; `dropped` and `events` keep the index the item had in the request. */
export interface Batch {
  readonly events: ReadonlyArray<NewEvent>
  readonly dropped: ReadonlyArray<Dropped & { readonly index: number }>
  /** Items stored in a cleaned form. */
  readonly sanitised: number
  /** What should have been projected and was not. */
  readonly skipped: ReadonlyArray<SkippedKind>
  /** Artifacts whose token was checked and does not cover them. */
  readonly failedArtifacts: number
  /** Tokens whose signature was not checked because there were too many. */
  readonly uncheckedTokens: number
}

/**
 * Reads all items of a request; what is no object is skipped and counted nowhere.
 * @param reporter fingerprint of the caller, part of derived ids
 * @param newId ids for events that bring neither an id nor a time of their own
 * @param tokens the tokens of these items, signatures checked; unset: found and checked here
 */
export const normaliseBatch = (
  items: ReadonlyArray<unknown>,
  context: {
    readonly reporter: string
    readonly receivedAt: number
    readonly mayBeUnclean: boolean
    readonly newId: () => string
    readonly tokens?: Tokens
    readonly policy?: ArtifactPolicy
  }
): Batch => {
  const tokens = context.tokens ?? inspectTokens(items)
  const policy = context.policy ?? defaultPolicy
  const skipped: Array<SkippedKind> = []
  let failedArtifacts = 0
  const events: Array<NewEvent> = []
  const dropped: Array<Dropped & { readonly index: number }> = []
  const repeats = new Map<string, number>()
  let sanitised = 0
  for (const [index, item] of items.entries()) {
    if (!isMembers(item)) continue
    const read = normalise(item, context.receivedAt, context.mayBeUnclean, tokens, policy)
    if (read._tag === "dropped") {
      dropped.push({ index, field: read.field, reason: read.reason })
      continue
    }
    if (read.sanitised) sanitised += 1
    skipped.push(...read.read.skipped)
    failedArtifacts += read.read.failed
    events.push({ ...read.event, id: idOf(read, context, repeats) })
  }
  return { events, dropped, sanitised, skipped, failedArtifacts, uncheckedTokens: tokens.unchecked }
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
