// Members of the documents, read strictly: what is not documented is refused, so that two readers never see two documents.

import { decodeBase64url } from "./base64url.ts"
import { RevocationRefused } from "./refusal.ts"

export type Members = Readonly<Record<string, unknown>>

const malformed = (message: string) => new RevocationRefused("MALFORMED", message)

/** The members of an object that has all of `required`, perhaps some of `optional`, and no other. */
export const membersOf = (
  value: unknown,
  required: ReadonlyArray<string>,
  optional: ReadonlyArray<string> = []
): Members => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("not an object")
  for (const name of required) if (!Object.hasOwn(value, name)) throw malformed(`${name} is missing`)
  for (const name of Object.keys(value)) {
    if (!required.includes(name) && !optional.includes(name)) throw malformed("unknown member")
  }
  return value as Members // neither null nor an array
}

export const literal = <const Text extends string>(members: Members, name: string, text: Text): Text => {
  const value = members[name]
  if (value !== text) throw malformed(`${name} is not ${text}`)
  return text
}

export const text = (members: Members, name: string): string => {
  const value = members[name]
  if (typeof value !== "string") throw malformed(`${name} is not a string`)
  return value
}

export const flag = (members: Members, name: string): boolean => {
  const value = members[name]
  if (typeof value !== "boolean") throw malformed(`${name} is not a boolean`)
  return value
}

/** A whole number, 0 or later: seconds, versions, counts. */
export const whole = (members: Members, name: string): number => {
  const value = members[name]
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw malformed(`${name} is not a whole number`)
  }
  return value
}

export const list = (members: Members, name: string): ReadonlyArray<unknown> => {
  const value = members[name]
  if (!Array.isArray(value)) throw malformed(`${name} is not an array`)
  return value
}

/** Bytes in canonical base64url. */
export const bytes = (members: Members, name: string): Uint8Array<ArrayBuffer> => {
  const decoded = decodeBase64url(text(members, name))
  if (decoded === undefined) throw malformed(`${name} is not base64url`)
  return decoded
}

/** A SHA-256 value in base64url, as text. */
export const digest = (members: Members, name: string): string => {
  if (bytes(members, name).length !== 32) throw malformed(`${name} is not 32 bytes`)
  return text(members, name)
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** A lower-case UUID of RFC 9562. */
export const uuid = (value: unknown): string => {
  if (typeof value !== "string" || !uuidPattern.test(value)) throw malformed("not a lower-case UUID")
  return value
}
