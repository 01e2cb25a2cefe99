/**
 * Postgres cannot store U+0000, UTF-8 cannot carry lone surrogates and JSON cannot hold infinities. Reports that
 * contain them are kept in a cleaned form rather than refused.
 */

// Escapes and numbers by which a body, already valid UTF-8, can smuggle them in: NUL and surrogate escapes, numbers with a
// three-digit exponent, so many digits that a two-digit exponent is enough. A number follows one of `[,:` or white space,
// which keeps the hex of ids from looking like one. Nearly every body has none and is known to be clean.
const suspicious = /\\u(?:0000|d[89a-f])|[[,:\s]-?\d[\d.]*e\+?\d{3}|\d{210}/i

/** Whether a body's text can hold anything that needs cleaning; false is certain, true is not. */
export const mayNeedCleaning = (bodyText: string): boolean => suspicious.test(bodyText)

const cleanText = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD")

/**
 * A copy of a parsed JSON value in which U+0000 and lone surrogates are U+FFFD, also in member names, and numbers that
 * JSON cannot hold are null; the value itself when it is clean. Members that collide after cleaning: the last one stays.
 * The value's depth must be bounded.
 */
export const clean = (value: unknown): unknown => {
  if (typeof value === "string") {
    const cleaned = cleanText(value)
    return cleaned === value ? value : cleaned
  }
  if (typeof value === "number") return Number.isFinite(value) ? value : null
  if (Array.isArray(value)) {
    const items = value.map(clean)
    return items.every((item, index) => Object.is(item, value[index])) ? value : items
  }
  if (typeof value !== "object" || value === null) return value
  let changed = false
  const members = Object.entries(value).map(([name, member]): [string, unknown] => {
    const cleaned: [string, unknown] = [cleanText(name), clean(member)]
    changed ||= cleaned[0] !== name || !Object.is(cleaned[1], member)
    return cleaned
  })
  return changed ? Object.fromEntries(members) : value
}
