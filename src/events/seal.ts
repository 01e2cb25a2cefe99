import { DEFAULT_ORG, type OrgId } from "../access/Visibility.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import type { Sql } from "../db/sql.ts"
import { randomBytes } from "../identity/random.ts"
import { idWithin } from "./event-id.ts"
import { leafHash, SALT_BYTES, saltedHash } from "./leaf.ts"
import type { NewEvent } from "./model.ts"
import { renderEnvelope } from "./render.ts"
import { canonicalType, isDeliverable } from "./types.ts"

/** The one log in use. */
export const LOG_ID = 1

/** An event with everything the ledger stores of it except its position. */
export interface SealedEvent {
  readonly event: NewEvent
  readonly owner: OrgId
  readonly reportedBy: string
  /** ms since 1970. */
  readonly receivedAt: number
  /** At least one. */
  readonly orgIds: ReadonlyArray<OrgId>
  readonly attemptId: string
  readonly contentHash: Uint8Array
  readonly contentKeyId: string
  readonly salt: Uint8Array
  readonly payloadHash: Uint8Array
  readonly artifactsHash: Uint8Array | null
  readonly leafHash: Uint8Array
  /** The event as webhooks carry it, up to its position; null when none can want it. */
  readonly delivery: string | null
}

/** What sealing adds to an event besides its hashes. */
export interface Provenance {
  readonly owner: OrgId
  readonly reportedBy: string
  readonly receivedAt: number
  readonly attemptId: string
  readonly orgIdsOf: (event: NewEvent) => ReadonlyArray<OrgId>
  /** Whether any webhook may want an event. */
  readonly subscribed: boolean
  readonly contentHash: (content: string) => { readonly hash: Uint8Array; readonly keyId: string }
}

/** Fixes salts, commitments and leaves. */
export const seal = (events: ReadonlyArray<NewEvent>, from: Provenance): ReadonlyArray<SealedEvent> => {
  const salts = randomBytes(SALT_BYTES * events.length)
  return events.map((given, index) => {
    const salt = salts.subarray(index * SALT_BYTES, (index + 1) * SALT_BYTES)
    const payloadHash = saltedHash(salt, given.payload)
    const artifactsHash = given.artifacts === null ? null : saltedHash(salt, given.artifacts)
    const orgIds = from.orgIdsOf(given)
    const { hash, keyId } = from.contentHash(given.content)
    const { reportedBy, receivedAt } = from
    // Callers bound to an organisation get ids of its own; see event-id.ts.
    const event = from.owner === DEFAULT_ORG ? given : { ...given, id: idWithin(from.owner, given.id) }
    return {
      event,
      owner: from.owner,
      reportedBy,
      receivedAt,
      orgIds,
      attemptId: from.attemptId,
      contentHash: hash,
      contentKeyId: keyId,
      salt,
      payloadHash,
      artifactsHash,
      delivery:
        from.subscribed && isDeliverable(canonicalType(event.type))
          ? renderEnvelope({ ...event, grants: event.grants === null ? null : JSON.stringify(event.grants) })
          : null,
      leafHash: leafHash({
        ...event,
        log: LOG_ID,
        receivedAt,
        reportedBy,
        orgIds,
        agentId: null,
        outcome: null,
        payloadHash,
        artifactsHash
      })
    }
  })
}

/** Whether deliveries may be enqueued with the events. */
export const mayBeDelivered = (sealed: ReadonlyArray<SealedEvent>): boolean =>
  sealed.some(({ delivery }) => delivery !== null)

const iso = (ms: number) => new Date(ms).toISOString()
/** An array of arrays has no parameter type, hence the literal. */
const arrayLiteral = (orgIds: ReadonlyArray<OrgId>) => `{${orgIds.join(",")}}`

/**
 * The sealed events as a `ledger_event_v1[]` SQL expression, in order. One array per column: the statement's text does
 * not depend on the number of events, so it is prepared once.
 */
export const ledgerEvents = (sql: Sql, sealed: ReadonlyArray<SealedEvent>) => {
  const text = (pick: (each: SealedEvent) => string | null) => textArray(sealed.map(pick))
  const bytes = (pick: (each: SealedEvent) => Uint8Array | null) => byteaArray(sealed.map(pick))
  return sql`(
    select array_agg(row(
      id, owner, attempt, content_hash, content_key, type, canonical, ts, received, aid_a, aid_b, session_id, run_id,
      namespace, grants::jsonb, capability, payload, source, reporter, orgs::uuid[], null, null, artifacts, salt,
      payload_hash, artifacts_hash, leaf, delivery)::ledger_event_v1 order by n)
    from unnest(
      ${text((each) => each.event.id)}::uuid[],
      ${text((each) => each.owner)}::uuid[],
      ${text((each) => each.attemptId)}::uuid[],
      ${bytes((each) => each.contentHash)}::bytea[],
      ${text((each) => each.contentKeyId)}::text[],
      ${text((each) => each.event.type)}::text[],
      ${text((each) => canonicalType(each.event.type))}::text[],
      ${text((each) => iso(each.event.ts))}::timestamptz[],
      ${text((each) => iso(each.receivedAt))}::timestamptz[],
      ${text((each) => each.event.aidA)}::text[],
      ${text((each) => each.event.aidB)}::text[],
      ${text((each) => each.event.sessionId)}::text[],
      ${text((each) => each.event.runId)}::text[],
      ${text((each) => each.event.namespace)}::text[],
      ${text((each) => (each.event.grants === null ? null : JSON.stringify(each.event.grants)))}::text[],
      ${text((each) => each.event.capability)}::text[],
      ${text((each) => each.event.payload)}::text[],
      ${text((each) => each.event.source)}::text[],
      ${text((each) => each.reportedBy)}::text[],
      ${text((each) => arrayLiteral(each.orgIds))}::text[],
      ${text((each) => each.event.artifacts)}::text[],
      ${bytes((each) => each.salt)}::bytea[],
      ${bytes((each) => each.payloadHash)}::bytea[],
      ${bytes((each) => each.artifactsHash)}::bytea[],
      ${bytes((each) => each.leafHash)}::bytea[],
      ${text((each) => each.delivery)}::text[]
    ) with ordinality as t (
      id, owner, attempt, content_hash, content_key, type, canonical, ts, received, aid_a, aid_b, session_id, run_id,
      namespace, grants, capability, payload, source, reporter, orgs, artifacts, salt, payload_hash, artifacts_hash,
      leaf, delivery, n))`
}
