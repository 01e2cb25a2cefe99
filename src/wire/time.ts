const FIRST = Date.parse("0001-01-01T00:00:00.000Z")
const LAST = Date.parse("9999-12-31T23:59:59.999Z")

/** Every timestamp on the wire: UTC, milliseconds, `Z`. */
export const iso = (time: Date | number): string =>
  (typeof time === "number" ? new Date(time) : time).toISOString()

/**
 * The instant a text names, in any spelling `Date` takes; undefined when it names none. Years outside 1 to 9999 are
 * cut to that range: as bounds of a filter they mean the same, and the database cannot read them.
 */
export const parseInstant = (text: string): Date | undefined => {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : new Date(Math.min(Math.max(ms, FIRST), LAST))
}
