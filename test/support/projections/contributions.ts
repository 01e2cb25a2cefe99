import type { Contributions, SkippedKind } from "../../../src/events/contributions.ts"
import { readItems } from "./ledger.ts"

/** Own time of items that do not state one, ms since 1970. */
export const TS = Date.UTC(2026, 0, 2, 3, 4, 5)

/** What one reported item says to the projections, and what was left out. */
export const contributionsOf = (
  item: object,
  policy?: Parameters<typeof readItems>[1]
): Contributions & { readonly skipped: ReadonlyArray<SkippedKind>; readonly failed: number } => {
  const { events, failedArtifacts, skipped } = readItems([{ ts: TS, ...item }], policy)
  const contributions = events[0]?.contributions
  if (contributions === undefined) throw new Error("the item was dropped")
  return { ...contributions, skipped, failed: failedArtifacts }
}
