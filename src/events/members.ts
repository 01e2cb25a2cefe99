/** Members of a reported JSON object; nothing is known about their values. */
export type Members = Readonly<Record<string, unknown>>

export const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The first of the values that is a non-empty string. */
export const firstText = (...values: ReadonlyArray<unknown>): string | null => {
  for (const value of values) if (typeof value === "string" && value !== "") return value
  return null
}

/** The first of the values that is an array of nothing but strings. */
export const firstTexts = (...values: ReadonlyArray<unknown>): ReadonlyArray<string> | null => {
  for (const value of values) if (isTexts(value)) return value
  return null
}

const isTexts = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((item) => typeof item === "string")

const YEAR_10000_SECS = 253_402_300_800

/** The first of the values that is a time in Unix seconds from 1970 to 9999, as ms since 1970. */
export const firstSeconds = (...values: ReadonlyArray<unknown>): number | null => {
  for (const value of values) {
    if (typeof value === "number" && value >= 0 && value < YEAR_10000_SECS) return Math.floor(value * 1000)
  }
  return null
}

/** Whether a text has more code points than that. */
export const codePointsExceed = (limit: number, text: string): boolean =>
  text.length > limit && (text.length > 2 * limit || [...text].length > limit)

/** The first so many code points of a text; a character is never cut in two. */
export const firstCodePoints = (limit: number, text: string): string =>
  text.length <= limit
    ? text
    : Array.from(text.slice(0, 2 * limit))
        .slice(0, limit)
        .join("")
