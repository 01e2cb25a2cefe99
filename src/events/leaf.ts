import { encodeBase64url } from "../aitp/base64url.ts"
import { sha256 } from "../aitp/sha256.ts"

/**
 * The transparency log's leaf, fixed when an event is stored. docs/ledger.md specifies it for other implementations;
 * test/ledger-vectors/leaf.json holds known answers.
 *
 *   payloadHash   = SHA-256(salt ‖ UTF-8 of the stored payload text)
 *   artifactsHash = SHA-256(salt ‖ UTF-8 of the stored artifacts text), or null
 *   entry         = RFC 8785 canonical JSON of the members below (nulls kept, hashes in unpadded base64url); an event
 *                   without grants has `v` 1 and no such member, one with grants has `v` 2
 *   leaf          = SHA-256(0x00 ‖ UTF-8 of entry)     (RFC 6962 §2.1)
 *
 * The entry holds no position: the leaf's index in the tree is `seq` − 1. The salt keeps low-entropy payloads from
 * being guessed from their hash, so that a payload can be dropped while its proof stays valid.
 */
export interface LeafEntry {
  /** Number of the log, `log_id`. */
  readonly log: number
  readonly id: string
  /** As sent. */
  readonly type: string
  /** ms since 1970. */
  readonly ts: number
  /** Receipt of the request that reported it, ms since 1970. */
  readonly receivedAt: number
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  /** Kept when a payload is dropped, so it needs no salt. */
  readonly grants: ReadonlyArray<string> | null
  readonly namespace: string | null
  readonly source: string
  readonly reportedBy: string
  /** Organisations the event belongs to, in any order. */
  readonly orgIds: ReadonlyArray<string>
  readonly agentId: string | null
  readonly outcome: string | null
  readonly payloadHash: Uint8Array
  readonly artifactsHash: Uint8Array | null
}

/** Bytes of the salt of one event. */
export const SALT_BYTES = 16

/** Commitment to a text that may be dropped later. */
export const saltedHash = (salt: Uint8Array, text: string): Uint8Array => {
  const bytes = Buffer.from(text)
  const salted = Buffer.allocUnsafe(salt.length + bytes.length)
  salted.set(salt)
  salted.set(bytes, salt.length)
  return sha256(salted)
}

const json = JSON.stringify

/**
 * Canonical JSON of an entry. The members are written in canonical order by hand, which is several times faster than
 * sorting them for every event; a test holds the result against the general serialiser.
 */
export const leafEntryText = (entry: LeafEntry): string => {
  const grants = entry.grants === null ? "" : `"grants":${json(entry.grants)},`
  return (
    `{"agentId":${json(entry.agentId)},"aidA":${json(entry.aidA)},"aidB":${json(entry.aidB)},` +
    `"artifactsHash":${entry.artifactsHash === null ? "null" : `"${encodeBase64url(entry.artifactsHash)}"`},` +
    `${grants}"id":${json(entry.id)},"log":${entry.log},"namespace":${json(entry.namespace)},` +
    `"orgIds":${json(entry.orgIds.toSorted())},"outcome":${json(entry.outcome)},` +
    `"payloadHash":"${encodeBase64url(entry.payloadHash)}","receivedAt":"${new Date(entry.receivedAt).toISOString()}",` +
    `"reportedBy":${json(entry.reportedBy)},"runId":${json(entry.runId)},"sessionId":${json(entry.sessionId)},` +
    `"source":${json(entry.source)},"ts":"${new Date(entry.ts).toISOString()}","type":${json(entry.type)},"v":${entry.grants === null ? 1 : 2}}`
  )
}

/** RFC 6962 leaf hash of an entry, 32 bytes. */
export const leafHash = (entry: LeafEntry): Uint8Array => sha256(`\0${leafEntryText(entry)}`)
