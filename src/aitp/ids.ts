// Identifiers other than AIDs (see aid.ts). UUIDs are written in lower case everywhere (RFC-AITP-0001 §5.4).

import { Schema } from "effect"

const uuidV4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u

/** Token identifier and revocation handle: UUID v4, lower case (RFC-AITP-0005 §3). */
export const Jti = Schema.String.check(Schema.isPattern(uuidV4, { expected: "a lower-case UUID v4" })).pipe(
  Schema.brand("Jti")
)
export type Jti = typeof Jti.Type

/** Session identifier: UUID v4, lower case (RFC-AITP-0010 §3). */
export const SessionId = Schema.String.check(
  Schema.isPattern(uuidV4, { expected: "a lower-case UUID v4" })
).pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

/** Any RFC 9562 UUID (versions 1 to 8, not nil or max) in lower case, as the service stores and compares it. */
export const Uuid = Schema.String.check(Schema.isPattern(uuid, { expected: "a lower-case UUID" })).pipe(
  Schema.brand("Uuid")
)
export type Uuid = typeof Uuid.Type

const isUuid = (text: string): text is Uuid => uuid.test(text)

/** Reads a UUID of any case and folds it to lower case; `undefined` when the text is none. */
export const parseUuid = (text: string): Uuid | undefined => {
  const lower = text.toLowerCase()
  return isUuid(lower) ? lower : undefined
}
