import { Effect, Result } from "effect"
import type { DataUnreadable } from "./ciphertext.ts"

/** Rows read, and written, in one statement. */
export const REWRAP_BATCH = 100

/** What a pass over the encrypted rows of a table came to. */
export interface Rewrapped {
  /** Rows that are under the current key now. */
  readonly rewrapped: number
  /** Why others were left as they are. */
  readonly unreadable: ReadonlyArray<DataUnreadable>
}

/**
 * Brings the rows of a table under the current key, in batches that hold no lock between them. Rows that cannot be
 * read are passed over. `write` must leave alone what somebody else has changed since it was read.
 */
export const rewrap = <Row, Changed>(steps: {
  /** At most `REWRAP_BATCH` rows that are not under the current key, in the order of their key, behind `after`. */
  readonly read: (after: Row | undefined) => Effect.Effect<ReadonlyArray<Row>>
  readonly change: (row: Row) => Result.Result<Changed, DataUnreadable>
  /** The count of rows written. */
  readonly write: (changed: ReadonlyArray<Changed>) => Effect.Effect<number>
}): Effect.Effect<Rewrapped> =>
  Effect.gen(function* () {
    const unreadable: Array<DataUnreadable> = []
    let rewrapped = 0
    let after: Row | undefined
    for (;;) {
      const rows = yield* steps.read(after)
      const changed: Array<Changed> = []
      for (const row of rows) {
        const result = steps.change(row)
        if (Result.isSuccess(result)) changed.push(result.success)
        else unreadable.push(result.failure)
      }
      if (changed.length > 0) rewrapped += yield* steps.write(changed)
      if (rows.length < REWRAP_BATCH) return { rewrapped, unreadable }
      after = rows.at(-1)
    }
  })
