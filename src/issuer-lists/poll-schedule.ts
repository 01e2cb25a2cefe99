/** Pause after the first failure, and the longest one after many, ms; the interval wins where it is shorter or longer. */
const RETRY_MS = 60_000
const LONGEST_RETRY_MS = 3_600_000

/** A list that asks to be fetched again at once is fetched at most this often, ms. */
const SHORTEST_MS = 15_000

/** What an attempt says about when the next one should be. */
export interface PollHints {
  /** Failed attempts in a row, up to now. */
  readonly failures: number
  /** `max-age` of the answer, seconds. */
  readonly maxAgeSecs?: number | undefined
  /** Until the list expires, seconds. */
  readonly validForSecs?: number | undefined
}

/**
 * ms until a list is due again. After a success the interval, or less when the answer or the list is good for less: its
 * `max-age`, half of what is left until it expires, but not below 15 s. After failures a minute, and then twice as long each
 * time up to an hour. Up to a tenth is taken off at random, so that lists named together are not fetched together for ever.
 * @param random in [0, 1)
 */
export const nextPollMs = (
  intervalMs: number,
  { failures, maxAgeSecs = Infinity, validForSecs = Infinity }: PollHints,
  random: number
): number => {
  const wantedMs = Math.max(Math.min(maxAgeSecs, validForSecs / 2) * 1000, SHORTEST_MS)
  const retryMs = Math.min(intervalMs, RETRY_MS) * 2 ** (failures - 1)
  const pauseMs =
    failures === 0
      ? Math.min(intervalMs, wantedMs)
      : Math.min(retryMs, Math.max(intervalMs, LONGEST_RETRY_MS))
  return Math.round(pauseMs * (1 - random / 10))
}
