import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { LogLineage } from "../../../src/events/LogLineage.ts"
import { TestDb } from "../../support/db/TestDb.ts"

const epoch = Effect.gen(function* () {
  const { sql } = yield* Db
  const [head] = yield* sql<{ readonly epoch: string }>`select epoch from log_head`
  return head?.epoch
})

layer(LogLineage.layer.pipe(Layer.provideMerge(TestDb)), { timeout: "60 seconds" })(
  "lineage of the ledger",
  (it) => {
    it.effect("binds a new ledger to its cluster and knows it again", () =>
      Effect.gen(function* () {
        const { claim } = yield* LogLineage
        assert.isTrue(yield* claim)
        assert.isTrue(yield* claim)
      })
    )

    it.effect("refuses a ledger of another cluster or timeline until it is adopted under a new epoch", () =>
      Effect.gen(function* () {
        const { adopt, claim } = yield* LogLineage
        const { sql } = yield* Db
        for (const moved of [sql`system_identifier = system_identifier + 1`, sql`timeline = timeline + 1`]) {
          const before = yield* epoch
          yield* sql`update log_head set ${moved}`
          assert.isFalse(yield* claim)
          assert.strictEqual(yield* epoch, before)
          const after = yield* adopt
          assert.notStrictEqual(after, before)
          assert.strictEqual(yield* epoch, after)
          assert.isTrue(yield* claim)
        }
      })
    )
  }
)
