/** Compares what commands print with what a document shows of it. */

type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [name: string]: Json }

const isObject = (value: Json | undefined): value is { readonly [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const kindOf = (value: Json): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value

/** Members whose value is the point of showing them. */
const literal: ReadonlySet<string> = new Set([
  "action",
  "alreadyRevoked",
  "code",
  "delivered",
  "displayName",
  "dropped",
  "duplicates",
  "field",
  "ingested",
  "inserted",
  "namespace",
  "reason",
  "sanitized",
  "status",
  "type"
])

/**
 * How an answer differs from the one shown: each member shown must be there with a value of the same kind, and of lists
 * at least as many items. Values may differ, but for those in {@link literal}. Undefined: not at all.
 */
export const shapeFault = (shown: Json, actual: Json | undefined, path = "$"): string | undefined => {
  if (actual === undefined) return `${path} is missing`
  if (kindOf(shown) !== kindOf(actual)) return `${path} is ${kindOf(actual)}, not ${kindOf(shown)}`
  if (Array.isArray(shown) && Array.isArray(actual)) {
    return shown.flatMap((item, index) => shapeFault(item, actual[index], `${path}[${index}]`) ?? [])[0]
  }
  if (!isObject(shown) || !isObject(actual)) return undefined
  return Object.entries(shown).flatMap(([name, value]) => {
    const where = `${path}.${name}`
    const wrong = literal.has(name) && JSON.stringify(value) !== JSON.stringify(actual[name])
    return wrong
      ? `${where} is ${JSON.stringify(actual[name])}, not ${JSON.stringify(value)}`
      : (shapeFault(value, actual[name], where) ?? [])
  })[0]
}

/** Whether a line is as shown, `…` standing for anything. */
const fits = (shown: string, line: string): boolean => {
  const [first = "", ...rest] = shown.trim().split("…")
  const last = rest.pop()
  if (last === undefined) return line === first
  let at = line.startsWith(first) ? first.length : -1
  for (const part of rest) {
    const found = at === -1 ? -1 : line.indexOf(part, at)
    at = found === -1 ? -1 : found + part.length
  }
  return at !== -1 && line.length - last.length >= at && line.endsWith(last)
}

/** The first line shown that what was printed does not have in its place; `…` stands for anything. */
export const textFault = (shown: string, printed: string): string | undefined => {
  const lines = printed.split("\n").map((line) => line.trim())
  let next = 0
  return shown.split("\n").find((line) => {
    if (line.trim() === "") return false
    const found = lines.findIndex((candidate, index) => index >= next && fits(line, candidate))
    next = found + 1
    return found === -1
  })
}

const parsed = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json // JSON.parse gives nothing else
  } catch {
    return undefined
  }
}

/** What is wrong with what was printed; undefined when it is as shown. */
export const answerFault = (language: string, shown: string, printed: string): string | undefined =>
  language === "json" ? shapeFault(JSON.parse(shown) as Json, parsed(printed)) : textFault(shown, printed)
