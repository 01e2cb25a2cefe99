/** Pause after the first failure, ms. */
const RETRY_MS = 60_000

/**
 * ms until a key set is due again: the interval; after failures less, a minute and then twice as long each time. Up to a
 * tenth is taken off at random, so that anchors added together are not fetched together for ever.
 * @param failures failed attempts in a row, up to now
 * @param random in [0, 1)
 */
export const nextRefreshMs = (intervalMs: number, failures: number, random: number): number => {
  const pauseMs = failures === 0 ? intervalMs : Math.min(intervalMs, RETRY_MS * 2 ** (failures - 1))
  return Math.round(pauseMs * (1 - random / 10))
}
