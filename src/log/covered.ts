import { parseJson } from "../aitp/parse-json.ts"
import { leafEntryText, leafHash, type LeafEntry, saltedHash } from "../events/leaf.ts"
import { firstText, isMembers } from "../events/members.ts"
import { canonicalType, OWN_SOURCE } from "../events/types.ts"
import type { LoggedRow } from "./LogEntries.ts"

/** What is wrong with an event's row, as far as the row itself can tell. */
export type RowFault =
  /** A column that the leaf covers was changed. */
  | "columns"
  /** The payload, or what was learnt from its tokens, is not what was committed to. */
  | "payload"
  /** A column that follows from those does not. */
  | "derived"

const parsed = (text: string | null): unknown => {
  if (text === null) return null
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

/** The entry that the row's columns make. */
const entryOf = (row: LoggedRow): LeafEntry => ({
  log: row.logId,
  id: row.id,
  type: row.type,
  ts: row.ts.getTime(),
  receivedAt: row.receivedAt.getTime(),
  aidA: row.aidA,
  aidB: row.aidB,
  sessionId: row.sessionId,
  runId: row.runId,
  grants: parsed(row.grants) as LeafEntry["grants"], // of another type it makes another leaf, which is what is looked for
  namespace: row.namespace,
  source: row.source,
  reportedBy: row.reportedBy,
  orgIds: row.orgIds,
  agentId: row.agentId,
  outcome: row.outcome,
  payloadHash: row.payloadHash,
  artifactsHash: row.artifactsHash
})

/** Times that no event can have cannot be written as an entry. */
const hasTimes = ({ receivedAt, ts }: LoggedRow): boolean =>
  Number.isFinite(ts.getTime()) && Number.isFinite(receivedAt.getTime())

/** Canonical JSON of the entry that the row makes; undefined when it can make none. */
export const entryText = (row: LoggedRow): string | undefined =>
  hasTimes(row) ? leafEntryText(entryOf(row)) : undefined

const differ = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) !== 0

/** A text that is gone was erased, together with the other one; its hash stays. */
const isCommitted = (text: string | null, hash: Uint8Array | null, { payload, salt }: LoggedRow): boolean => {
  if (text === null) return hash === null || payload === null
  return hash !== null && !differ(saltedHash(salt, text), hash)
}

/** What the service sets `capability` to: its own events have none. An erased payload tells nothing. */
const hasCapability = ({ capability, payload, source }: LoggedRow): boolean => {
  if (payload === null) return true
  const value = parsed(payload)
  return capability === (isMembers(value) && source !== OWN_SOURCE ? firstText(value["capability"]) : null)
}

/** Compares a row with itself: hashes with what they are of, derived columns with what they derive from. */
export const faultOf = (row: LoggedRow): RowFault | undefined => {
  if (!hasTimes(row) || !row.isWhole || differ(leafHash(entryOf(row)), row.leafHash)) return "columns"
  if (!isCommitted(row.payload, row.payloadHash, row) || !isCommitted(row.artifacts, row.artifactsHash, row))
    return "payload"
  return canonicalType(row.type) === row.canonicalType && hasCapability(row) ? undefined : "derived"
}
