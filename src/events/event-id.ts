import { parseUuid } from "../aitp/ids.ts"
import { sha256 } from "../aitp/sha256.ts"

/**
 * Ids of events that come without a UUID of their own (contract §7.3): UUIDv8 over a SHA-256, so that the same report
 * gets the same id wherever and however often it arrives. They are digests of what was reported.
 */

const uuidV8 = (digest: Uint8Array): string => {
  const bytes = Buffer.from(digest.subarray(0, 16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const derived = (...parts: ReadonlyArray<string>): string => uuidV8(sha256(parts.join("\0")))

/** The id for a reporter's own name of an event: a UUID is taken as it is, lower-cased, other text is hashed. */
export const idFromName = (name: string, reporter: string, source: string): string =>
  parseUuid(name) ?? derived("aitp-cp-event:id", reporter, source, name)

/**
 * The id of an event without a name: a digest of what was sent.
 * @param content canonical JSON of the event
 * @param repeat how many identical events precede it in the same request
 */
export const idFromContent = (content: string, reporter: string, repeat: number): string =>
  derived("aitp-cp-event:v1", reporter, content, String(repeat))

/** The public id of an event reported by a caller of an organisation: nobody else's ids can be taken or probed. */
export const idWithin = (owner: string, id: string): string => derived(owner, id)
