import { Context, Layer } from "effect"

/**
 * Tells whoever tails the ledger in this process that something was committed. A hint carries no data and may be lost
 * or repeated: readers look for themselves at least once a second.
 */
export class LedgerHints extends Context.Service<
  LedgerHints,
  {
    /**
     * Call after a commit that appended events, never before. Returns at once.
     * @param enqueued whether deliveries to webhooks may have been committed with them
     */
    readonly nudge: (enqueued?: boolean) => void
    /** Calls back on each nudge, synchronously; the result ends that. */
    readonly subscribe: (onNudge: (enqueued: boolean) => void) => () => void
  }
>()("cp/events/LedgerHints") {
  static readonly layer = Layer.sync(LedgerHints, () => {
    const listeners = new Set<(enqueued: boolean) => void>()
    return LedgerHints.of({
      nudge: (enqueued = false) => {
        for (const listener of listeners) listener(enqueued)
      },
      subscribe: (onNudge) => {
        listeners.add(onNudge)
        return () => void listeners.delete(onNudge)
      }
    })
  })
}
