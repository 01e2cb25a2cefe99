import { isUtf8 } from "node:buffer"
import { parseJson } from "../aitp/parse-json.ts"

/** Nesting most bodies may have. */
export const DEFAULT_DEPTH = 32

/** Why a body is not JSON that may be read; completes "request body …". */
export type JsonRefusal =
  | "is not valid UTF-8"
  | "must not start with a byte order mark"
  | "is nested too deeply"
  | "is not valid JSON"

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Whether the nesting of a JSON text stays within `max`; looks at brackets outside of strings only. */
const isShallow = (text: string, max: number): boolean => {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        for (i++; i < text.length && text.charCodeAt(i) !== QUOTE; i++) {
          if (text.charCodeAt(i) === BACKSLASH) i++
        }
        break
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > max) return false
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
        break
    }
  }
  return true
}

/** Text of a body: UTF-8 without byte order mark. */
export const textOf = (bytes: Buffer): { readonly text: string } | { readonly refusal: JsonRefusal } => {
  if (!isUtf8(bytes)) return { refusal: "is not valid UTF-8" }
  const text = bytes.toString("utf8")
  return text.charCodeAt(0) === 0xfeff ? { refusal: "must not start with a byte order mark" } : { text }
}

/**
 * Value of a JSON body. The last of duplicate members counts. Depth is checked before parsing, so nothing behind this
 * can run out of stack.
 */
export const parse = (
  bytes: Buffer,
  maxDepth: number
): { readonly text: string; readonly value: unknown } | { readonly refusal: JsonRefusal } => {
  const read = textOf(bytes)
  if ("refusal" in read) return read
  if (!isShallow(read.text, maxDepth)) return { refusal: "is nested too deeply" }
  try {
    return { text: read.text, value: parseJson(read.text) }
  } catch {
    return { refusal: "is not valid JSON" }
  }
}

/** Whether an object or array; the other JSON values have no members. */
const isContainer = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

const mapStrings = (value: unknown, change: (text: string) => string): unknown => {
  if (typeof value === "string") return change(value)
  if (!isContainer(value)) return value
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change))
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [change(name), mapStrings(member, change)])
  )
}

/** Whether some string or member name has a NUL; `text` is what the value was parsed from. */
export const hasNul = (text: string, value: unknown): boolean => {
  if (!text.includes("\\u0000")) return false // the only spelling of NUL in JSON
  let found = false
  mapStrings(value, (string) => {
    found ||= string.includes("\0")
    return string
  })
  return found
}

/** The value with lone surrogates replaced by U+FFFD; only `\\ud…` escapes can make one. */
export const wellFormed = (text: string, value: unknown): unknown =>
  /\\ud[89a-f]/i.test(text) ? mapStrings(value, (string) => string.toWellFormed()) : value
