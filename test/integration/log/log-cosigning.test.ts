import { assert, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import * as Dns from "effect/net/Dns"
import { openCheckpoint } from "../../../src/client/log-checkpoint.ts"
import { parseVerifierKey } from "../../../src/client/log-note.ts"
import { Db } from "../../../src/db/Db.ts"
import { Egress } from "../../../src/egress/Egress.ts"
import { Cosigning } from "../../../src/log/Cosigning.ts"
import { LogKey } from "../../../src/log/LogKey.ts"
import { LogTrees } from "../../../src/log/LogTrees.ts"
import { LogWitnesses } from "../../../src/log/LogWitnesses.ts"
import { eventually } from "../../support/db/eventually.ts"
import { noteKey } from "../../support/log/MemoryLog.ts"
import { append, integrate, takeLease, testLog } from "../../support/log/TestLog.ts"
import { testConfig } from "../../support/TestPlatform.ts"
import { startWitness, type TestWitness } from "../../support/log/TestWitness.ts"

const origin = "log.test/cosigned"

/** Runs a test with two witnesses, over a log of its own that knows them. */
const withWitnesses = <A, E>(
  test: (
    witnesses: readonly [TestWitness, TestWitness]
  ) => Effect.Effect<A, E, Cosigning | Scope.Scope | Layer.Success<ReturnType<typeof testLog>>>
) =>
  Effect.gen(function* () {
    const known: Array<string> = []
    const first = yield* startWitness(noteKey("w.test/1", 11, 4), () => known)
    const second = yield* startWitness(noteKey("w.test/2", 12, 4), () => known)
    const env = {
      LOG_ORIGIN: origin,
      LOG_WITNESSES: [first, second].map(({ key, url }) => `${key.vkey} ${url}`).join(", "),
      LOG_WITNESS_QUORUM: "2",
      WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8"
    }
    const egress = Egress.layerNoDeps.pipe(Layer.provide(Dns.layerStatic({ hosts: {} })))
    const cosigning = Cosigning.layer.pipe(
      Layer.provide([egress, LogWitnesses.layer]),
      Layer.provide(Layer.fresh(testConfig(env))),
      Layer.provideMerge(testLog(env))
    )
    return yield* Effect.gen(function* () {
      const { identityIn } = yield* LogKey
      const { lineage } = yield* tree
      known.push((yield* identityIn(lineage)).vkey)
      return yield* test([first, second])
    }).pipe(Effect.provide(cosigning))
  }).pipe(Effect.scoped)

const tree = Effect.flatMap(LogTrees, ({ read }) => read)

/** One round: what is served afterwards, and who has cosigned it. */
const round = (witnesses: ReadonlyArray<TestWitness>) =>
  Effect.gen(function* () {
    const { runOnce } = yield* Cosigning
    yield* runOnce(yield* takeLease("log-witnesses"))
    const { lineage, published } = yield* tree
    const { identityIn } = yield* LogKey
    const { key } = yield* identityIn(lineage)
    const keys = yield* Effect.promise(() =>
      Promise.all(witnesses.map((each) => parseVerifierKey(each.key.vkey)))
    )
    const served = yield* Effect.promise(() =>
      openCheckpoint(published?.note ?? "", { key, witnesses: keys })
    )
    assert.deepEqual([published?.size, published?.cosignatures], [served.size, served.witnesses.length])
    return { size: served.size, witnesses: served.witnesses }
  })

const failures = Effect.gen(function* () {
  const { sql } = yield* Db
  const rows = yield* sql<{ readonly vkey: string; readonly size: number; readonly failure: string | null }>`
    select vkey, size::int, failure from log_witnesses order by vkey`
  return rows.map(({ failure, size }) => [size, failure])
})

const both = ["w.test/1", "w.test/2"]

it.live("checkpoints are published with the cosignatures of all witnesses, tree after tree", () =>
  withWitnesses((witnesses) =>
    Effect.gen(function* () {
      for (const count of [1, 6, 30, 300]) {
        yield* append(count)
        yield* integrate
        const { size } = yield* tree
        assert.deepEqual(yield* round(witnesses), { size, witnesses: both })
      }
      // Each was told once what it knew, and from then on what it did not.
      for (const { answers } of witnesses) assert.notInclude(answers, 422)
      assert.deepEqual(yield* failures, [
        [337, null],
        [337, null]
      ])
      // A witness that knows more than this process remembers says so.
      for (const { seen } of witnesses) seen.clear()
      yield* append(5)
      yield* integrate
      assert.deepEqual(yield* round(witnesses), { size: 342, witnesses: both })
      for (const { answers } of witnesses) assert.deepEqual(answers.slice(-2), [409, 200])
    })
  )
)

it.live("what is integrated is not served before the witnesses were asked", () =>
  withWitnesses((witnesses) =>
    Effect.gen(function* () {
      yield* append(3)
      yield* integrate
      yield* append(4)
      yield* integrate
      const { published, size } = yield* tree
      assert.deepEqual([size, published?.size], [7, 0])
      assert.deepEqual(yield* round(witnesses), { size: 7, witnesses: both })
    })
  )
)

it.live("publication goes on when witnesses are silent, broken or forge, and they may come back", () =>
  withWitnesses((witnesses) =>
    Effect.gen(function* () {
      const [first, second] = witnesses
      yield* append(3)
      yield* integrate
      first.manner = "silent"
      second.manner = "broken"
      const begun = performance.now()
      assert.deepEqual(yield* round(witnesses), { size: 3, witnesses: [] })
      assert.isBelow(performance.now() - begun, 2000)
      assert.deepEqual(yield* failures, [
        [0, "no answer within 700 ms"],
        [0, "answered 500"]
      ])
      // They are left alone for a while.
      first.manner = "honest"
      second.manner = "forging"
      assert.deepEqual(yield* round(witnesses), { size: 3, witnesses: [] })
      assert.deepEqual(second.answers, [500])
      const again = yield* eventually(round(witnesses), (served) => served.witnesses.length > 0)
      assert.deepEqual(again, { size: 3, witnesses: ["w.test/1"] })
      assert.deepEqual(yield* failures, [
        [3, null],
        [0, "answered without a valid cosignature"]
      ])
    })
  )
)

it.live("a witness that was shown more, or something else, is heard and holds up nothing", () =>
  withWitnesses((witnesses) =>
    Effect.gen(function* () {
      const [first, second] = witnesses
      yield* append(9)
      yield* integrate
      first.seen.set(origin, { size: 1000, root: Buffer.alloc(32) })
      second.seen.set(origin, { size: 4, root: Buffer.alloc(32, 1) })
      assert.deepEqual(yield* round(witnesses), { size: 9, witnesses: [] })
      assert.deepEqual(yield* failures, [
        [0, "knows a tree of 1000 leaves, this log has 9"],
        [0, "finds the log to contradict what it was shown before"]
      ])
    })
  )
)

it.live("who has lost the lease publishes nothing", () =>
  withWitnesses((witnesses) =>
    Effect.gen(function* () {
      const { runOnce } = yield* Cosigning
      yield* append(9)
      yield* integrate
      const lost = yield* takeLease("log-witnesses")
      yield* takeLease("log-witnesses")
      yield* runOnce(lost)
      assert.strictEqual((yield* tree).published?.size, 0)
      assert.deepEqual(yield* round(witnesses), { size: 9, witnesses: both })
    })
  )
)
