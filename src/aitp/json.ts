// Reads JSON as AITP defines it (RFC-AITP-0001 §5.4): where two parsers could see two documents, there is no document.
//
// JSON.parse settles grammar and values at native speed but keeps the last of duplicate names. Instead of a second
// parser, members are counted twice: in the text (a colon outside a string is exactly one member) and in the result.
// A duplicate always loses at least one member, so the counts agree only if there is none. All passes are linear.

import { Data, Result, type Schema } from "effect"
import { closingQuote, parseJson } from "./parse-json.ts"

export type Json = Schema.Json
export type JsonObject = Schema.JsonObject

export type JsonOffence =
  | "bom"
  | "utf8"
  | "syntax"
  | "duplicate_name"
  | "lone_surrogate"
  | "number_range"
  | "depth"

/** Why a text is not a document. `message` is short, safe to show, and names a place where that is cheap. */
export class JsonRefused extends Data.TaggedError("JsonRefused")<{
  readonly offence: JsonOffence
  readonly message: string
}> {}

export interface ReadJsonOptions {
  /** Containers (objects and arrays) that may lie within each other: `[[]]` has depth 2. Default 32, at most 512. */
  readonly maxDepth?: number
}

// The walk below recurses once per level; this is far from any stack limit.
const depthCeiling = 512

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const refuse = (offence: JsonOffence, message: string) => Result.fail(new JsonRefused({ offence, message }))

/**
 * Reads one JSON document from received bytes or text.
 *
 * Refused: byte order mark, invalid UTF-8, duplicate member names (also when one is escaped), lone surrogates, numbers
 * beyond the range of a double (`1e400`), excessive depth. A number that merely loses digits (`9007199254740993`) is
 * accepted as the nearest double, as RFC 8785 has it. `__proto__` is an ordinary own member of the result.
 */
export const readJson = (
  input: string | Uint8Array,
  options: ReadJsonOptions = {}
): Result.Result<Json, JsonRefused> => {
  const maxDepth = Math.min(options.maxDepth ?? 32, depthCeiling)
  let text: string
  if (typeof input === "string") {
    text = input
    if (!text.isWellFormed()) return refuse("lone_surrogate", "text holds a lone surrogate")
  } else {
    try {
      text = utf8.decode(input)
    } catch {
      return refuse("utf8", "not valid UTF-8")
    }
  }
  if (text.charCodeAt(0) === 0xfeff) return refuse("bom", "starts with a byte order mark")
  let value: Json
  try {
    value = parseJson(text) as Json // JSON has no other values
  } catch {
    return refuse("syntax", "not valid JSON")
  }
  const census = new Census(maxDepth, surrogateEscape.test(text))
  census.visit(value, 1)
  if (census.offence !== undefined) return refuse(census.offence, offences[census.offence](maxDepth))
  if (census.members !== countMembers(text)) return refuse("duplicate_name", describeDuplicate(text))
  return Result.succeed(value)
}

const offences = {
  depth: (maxDepth: number) => `nested deeper than ${maxDepth} levels`,
  number_range: () => "number out of range",
  lone_surrogate: () => "string holds a lone surrogate"
}

// The raw text is known to be well formed, so only an escape can bring a lone surrogate in.
const surrogateEscape = /\\u[dD][89a-fA-F]/

class Census {
  members = 0
  offence: keyof typeof offences | undefined
  readonly maxDepth: number
  readonly checkStrings: boolean

  constructor(maxDepth: number, checkStrings: boolean) {
    this.maxDepth = maxDepth
    this.checkStrings = checkStrings
  }

  visit(value: Json, depth: number): void {
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.offence ??= "number_range"
    } else if (typeof value === "string") {
      if (this.checkStrings && !value.isWellFormed()) this.offence ??= "lone_surrogate"
    } else if (typeof value === "object" && value !== null) {
      if (depth > this.maxDepth) {
        this.offence = "depth"
        return
      }
      if (isJsonArray(value)) {
        for (const item of value) this.visit(item, depth + 1)
      } else {
        const names = Object.keys(value)
        this.members += names.length
        for (const name of names) {
          if (this.checkStrings && !name.isWellFormed()) this.offence ??= "lone_surrogate"
          this.visit(value[name]!, depth + 1) // an own name of this very object
        }
      }
    }
  }
}

const isJsonArray = (value: Schema.JsonArray | JsonObject): value is Schema.JsonArray => Array.isArray(value)

/** True for a JSON object: neither null, nor an array, nor a scalar. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const quote = 0x22
const colon = 0x3a

const countMembers = (text: string): number => {
  let members = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === colon) members++
    else if (unit === quote) i = closingQuote(text, i)
  }
  return members
}

/** Finds the first repeated name; only runs once the counts have told that there is one. */
const describeDuplicate = (text: string): string => {
  const open: Array<Set<string>> = []
  let start = 0
  let end = 0
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case "{":
      case "[":
        open.push(new Set())
        break
      case "}":
      case "]":
        open.pop()
        break
      case '"':
        start = i
        end = closingQuote(text, i)
        i = end
        break
      case ":": {
        const name = JSON.parse(text.slice(start, end + 1)) as string // the string just passed
        const seen = open.at(-1)
        if (seen?.has(name)) {
          return `duplicate member name ${JSON.stringify(name.slice(0, 64).toWellFormed())} at offset ${start}`
        }
        seen?.add(name)
      }
    }
  }
  return "duplicate member name"
}
