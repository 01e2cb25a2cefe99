import { assert, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { DataUnreadable } from "../../../src/identity/ciphertext.ts"
import { REWRAP_BATCH, rewrap } from "../../../src/identity/rewrap.ts"

/** A table of rows by number; odd ones of the given set cannot be read. */
const table = (size: number, unreadable: ReadonlySet<number>) => {
  const old = new Set(Array.from({ length: size }, (_, index) => index))
  const reads: Array<number> = []
  const pass = rewrap<number, number>({
    read: (after) =>
      Effect.sync(() => {
        const rows = [...old].filter((row) => row > (after ?? -1)).slice(0, REWRAP_BATCH)
        reads.push(rows.length)
        return rows
      }),
    change: (row) =>
      unreadable.has(row)
        ? Result.fail(new DataUnreadable({ reason: "unknown_key", keyId: `k${row}` }))
        : Result.succeed(row),
    write: (changed) =>
      Effect.sync(() => {
        for (const row of changed) old.delete(row)
        return changed.length
      })
  })
  return { old, pass, reads }
}

it.effect(
  "a pass over encrypted rows reaches every row once, in batches, also behind those it cannot read",
  () =>
    Effect.gen(function* () {
      // a whole batch that cannot be read must not hide what is behind it
      const unreadable = new Set(Array.from({ length: REWRAP_BATCH + 5 }, (_, index) => index))
      const size = 2 * REWRAP_BATCH + 50
      const { old, pass, reads } = table(size, unreadable)
      const first = yield* pass
      assert.strictEqual(first.rewrapped, size - unreadable.size)
      assert.deepEqual(
        first.unreadable.map(({ keyId }) => keyId),
        [...unreadable].map((row) => `k${row}`)
      )
      assert.deepEqual(old, unreadable)
      assert.isAtMost(Math.max(...reads), REWRAP_BATCH)
      const second = yield* pass
      assert.deepEqual([second.rewrapped, second.unreadable.length], [0, unreadable.size])
    })
)
