// RFC 8785, the canonical form over which JCS-profile signatures are made (RFC-AITP-0001 §5.4.1).
//
// Always canonicalise the parsed wire value, never an object rebuilt from typed fields: an absent member, `[]`, `{}` and
// `null` are four different inputs.

import { sha256 } from "./sha256.ts"

/** Thrown for values JSON cannot hold: undefined, functions, NaN, lone surrogates, class instances, depth over 512. */
export class JcsError extends Error {
  override readonly name = "JcsError"
}

const depthCeiling = 512

/** Canonical JSON text. Never throws for a value that `readJson` returned; otherwise see {@link JcsError}. */
export const canonicalJson = (value: unknown): string => write(value, 0)

/** SHA-256 (32 bytes) of the canonical JSON in UTF-8; throws like {@link canonicalJson}. */
export const canonicalDigest = (value: unknown): Uint8Array => sha256(canonicalJson(value))

const write = (value: unknown, depth: number): string => {
  switch (typeof value) {
    case "string":
      return writeString(value)
    case "number":
      if (!Number.isFinite(value)) throw new JcsError("number is not finite")
      return String(value) // ECMAScript's own text, which writes -0 as "0"
    case "boolean":
      return value ? "true" : "false"
    case "object":
      if (value === null) return "null"
      if (depth >= depthCeiling) throw new JcsError(`nested deeper than ${depthCeiling} levels`)
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
    default:
      throw new JcsError(`${typeof value} is not JSON`)
  }
}

const writeArray = (items: ReadonlyArray<unknown>, depth: number): string => {
  let out = ""
  for (const item of items) out += `${out === "" ? "" : ","}${write(item, depth + 1)}`
  return `[${out}]`
}

const writeObject = (object: object, depth: number): string => {
  const prototype: unknown = Object.getPrototypeOf(object)
  if (prototype !== Object.prototype && prototype !== null) throw new JcsError("class instance is not JSON")
  let out = ""
  // The default sort compares UTF-16 code units, which is what RFC 8785 §3.2.3 asks (not code points, not UTF-8).
  for (const name of Object.keys(object).sort()) {
    const member: unknown = Reflect.get(object, name)
    out += `${out === "" ? "" : ","}${writeString(name)}:${write(member, depth + 1)}`
  }
  return `{${out}}`
}

// JSON.stringify escapes exactly what RFC 8785 §3.2.2.2 escapes, and besides that lone surrogates, which are refused.
const writeString = (text: string): string => {
  if (!text.isWellFormed()) throw new JcsError("string holds a lone surrogate")
  return JSON.stringify(text)
}
