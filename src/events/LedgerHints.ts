import { Context, Layer } from "effect"

/**
 * Tells whoever tails the ledger in this process that something was committed. A hint carries no data and may be lost
 * or repeated: readers look for themselves at least once a second.
 */
export class LedgerHints extends Context.Service<
  LedgerHints,
  {
    /** Call after a commit that appended events, never before. Returns at once. */
    readonly nudge: () => void
    /** Calls back on each nudge, synchronously; the result ends that. */
    readonly subscribe: (onNudge: () => void) => () => void
  }
>()("cp/events/LedgerHints") {
  static readonly layer = Layer.sync(LedgerHints, () => {
    const listeners = new Set<() => void>()
    return LedgerHints.of({
      nudge: () => {
        for (const listener of listeners) listener()
      },
      subscribe: (onNudge) => {
        listeners.add(onNudge)
        return () => void listeners.delete(onNudge)
      }
    })
  })
}
