/**
 * Projections keep, of several reports about one thing, the one that comes first in an order that does not depend on
 * when they arrived. Such an order is written as text whose bytes sort it; SQL keeps the smallest.
 */

const WIDEST_MS = 999_999_999_999_999

/**
 * Class, then the event's own time, then the event's id, then the place inside the event.
 * @param rank smaller wins over everything else, 0–9
 * @param ts ms since 1970, up to the year 9999
 */
export const earliest = (rank: number, ts: number, eventId: string, index = 0): string =>
  `${rank} ${new Date(ts).toISOString()} ${eventId} ${String(index).padStart(6, "0")}`

/** The latest time first, then class, then the event's id. */
export const latest = (rank: number, ts: number, eventId: string): string =>
  `${String(WIDEST_MS - ts).padStart(15, "0")} ${rank} ${eventId}`
