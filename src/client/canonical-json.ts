// RFC 8785 for the values these documents hold: objects, arrays, strings, booleans and whole numbers.

/** Canonical JSON text; throws a TypeError for values that none of the documents may hold. */
export const canonicalJson = (value: unknown): string => {
  if (typeof value === "string") return quoted(value)
  if (typeof value === "boolean") return String(value)
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value)
  if (typeof value !== "object" || value === null) throw new TypeError("not a value of these documents")
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  // The default sort compares UTF-16 code units, which is what RFC 8785 §3.2.3 asks.
  const names = Object.keys(value).sort()
  return `{${names.map((name) => `${quoted(name)}:${canonicalJson(Reflect.get(value, name))}`).join(",")}}`
}

// JSON.stringify escapes what RFC 8785 §3.2.2.2 escapes, and lone surrogates, which canonical JSON cannot hold.
const quoted = (text: string): string => {
  if (!text.isWellFormed()) throw new TypeError("string holds a lone surrogate")
  return JSON.stringify(text)
}
