import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import * as fc from "fast-check"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { applyRevocationDelta, readRevocationDelta } from "../../../src/client/revocation-delta.ts"
import { type HeldList, readRevocationList } from "../../../src/client/revocation-list.ts"
import { type BackgroundDb, Db } from "../../../src/db/Db.ts"
import { ChangeFeed } from "../../../src/revocation/ChangeFeed.ts"
import { MAX_CHANGES } from "../../../src/revocation/Changes.ts"
import { RevocationList } from "../../../src/revocation/RevocationList.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import {
  type Entry,
  type Followed,
  followed,
  inOrder,
  jtiOf,
  type Kept
} from "../../support/revocation-feeds/histories.ts"
import { cp, publish, Replica, Signed, textOf, unpublished } from "../../support/revocation-feeds/Replica.ts"

const deltaAfter = Effect.fnUntraced(function* (version?: number) {
  const feed = yield* ChangeFeed
  return textOf((yield* feed.after(version)).full)
})

const came = (version: number, entries: ReadonlyArray<Entry>): ReadonlyArray<Kept> =>
  entries.map(({ jti, reason, revoked_at }) => ({
    version,
    jti,
    op: "+",
    revokedAt: revoked_at,
    reason: reason ?? null
  }))

const entry = (n: number): Entry => ({ jti: jtiOf(n), revoked_at: 1_699_000_000 + n })

/** Versions 1 to `newest`, each with one entry more than the one before. */
const growing = Effect.fnUntraced(function* (newest: number) {
  yield* unpublished
  const entries = Array.from({ length: newest }, (_, n) => entry(n))
  for (let version = 1; version <= newest; version += 1) {
    yield* publish({
      version,
      entries: entries.slice(0, version),
      changes: came(version, entries.slice(version - 1, version)),
      ageSecs: newest - version
    })
  }
})

/** A replica that knows nothing yet. */
const fresh = Effect.provide(Layer.fresh(Replica))

/** Publishes a history; a client that asks at some of its versions always holds what was published. */
const followsList = ({ asked, history: { changes, versions } }: Followed) =>
  Effect.gen(function* () {
    yield* unpublished
    const lists = yield* RevocationList
    let held: HeldList | undefined
    for (const [version, entries] of versions.entries()) {
      if (version === 0) continue
      const text = yield* publish({
        version,
        entries,
        changes: changes.filter((change) => change.version === version),
        ageSecs: versions.length - version
      })
      if (!asked.includes(version)) continue
      yield* lists.reach(version)
      const before = held ?? (yield* Effect.promise(() => readRevocationList(text, cp.aid)))
      const delta = yield* deltaAfter(before.version)
      const after = yield* Effect.promise(() => applyRevocationDelta(before, delta))
      assert.strictEqual(after.version, version)
      assert.strictEqual(canonicalJson(inOrder(after.entries.values())), canonicalJson(entries))
      held = after
    }
  }).pipe(fresh)

layer(TestDb, { timeout: "60 seconds", excludeTestServices: true })("deltas of the list", (it) => {
  it.effect(
    "lead from every version, over any others, to the bytes of the full list",
    () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<Db | BackgroundDb>()
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(followed, (scenario) => Effect.runPromiseWith(context)(followsList(scenario))),
            { numRuns: 25 }
          )
        )
      }),
    60_000
  )

  it.effect("are empty from the current version on, and tell it to those who do not know it", () =>
    Effect.gen(function* () {
      yield* growing(3)
      yield* Effect.gen(function* () {
        const text = yield* deltaAfter()
        assert.strictEqual(yield* deltaAfter(3), text)
        const delta = yield* Effect.promise(() => readRevocationDelta(text, cp.aid))
        assert.deepInclude(delta, { from: 3, to: 3, prevSha256: delta.entriesSha256 })
        assert.strictEqual(delta.added.size + delta.removed.size, 0)
      }).pipe(fresh)
    })
  )

  it.effect("are signed once for each pair of versions, however many ask at a time", () =>
    Effect.gen(function* () {
      yield* growing(4)
      yield* Effect.gen(function* () {
        const texts = yield* Effect.all(
          Array.from({ length: 40 }, (_, n) => deltaAfter(1 + (n % 2))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(texts).size, 2)
        assert.strictEqual((yield* Signed).length, 2)
      }).pipe(fresh)
    })
  )

  it.effect("are the same bytes on every replica", () =>
    Effect.gen(function* () {
      yield* growing(5)
      const [one, other] = [yield* fresh(deltaAfter(2)), yield* fresh(deltaAfter(2))]
      assert.strictEqual(one, other)
      assert.include(one, '"from":2')
    })
  )

  it.effect("wait for a version that another replica has shown, and refuse one that nobody has", () =>
    Effect.gen(function* () {
      yield* growing(1)
      yield* Effect.gen(function* () {
        yield* deltaAfter()
        const entries = [entry(0), entry(1)]
        yield* publish({ version: 2, entries, changes: came(2, [entry(1)]) })
        // known elsewhere, and not yet looked up here
        assert.include(yield* deltaAfter(2), '"from":2')
        assert.strictEqual((yield* Effect.flip(deltaAfter(3)))._tag, "VersionUnknown")
      }).pipe(fresh)
    })
  )

  it.effect("are refused where the way is no longer kept, naming where it begins", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* growing(6)
      yield* sql`delete from revocation_lists where version < 3`
      yield* sql`delete from revocation_list_changes where version < 3`
      yield* Effect.gen(function* () {
        assert.deepInclude(yield* Effect.flip(deltaAfter(2)), { _tag: "VersionExpired", earliest: 3 })
        assert.deepInclude(yield* Effect.flip(deltaAfter(0)), { _tag: "VersionExpired", earliest: 3 })
        assert.include(yield* deltaAfter(3), '"from":3')
      }).pipe(fresh)
    })
  )

  it.effect("are never signed over a hole in what is kept", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const holes = [
        sql`delete from revocation_list_changes where version = 3`,
        sql`delete from revocation_lists where version = 3`,
        sql`update revocation_list_changes set revoked_at = revoked_at + 1 where version = 3`,
        sql`update revocation_list_changes set reason = 'other' where version = 3`,
        sql`update revocation_list_changes set jti = gen_random_uuid() where version = 3`,
        sql`update revocation_lists set changed = false where version = 3`,
        sql`update revocation_lists set entries = entries + 1 where version = 3`
      ]
      for (const [index, hole] of holes.entries()) {
        yield* growing(5)
        yield* hole
        yield* Effect.gen(function* () {
          assert.deepInclude(
            yield* Effect.flip(deltaAfter(1)),
            { _tag: "VersionExpired", earliest: 5 },
            `hole ${index}`
          )
          assert.deepEqual(yield* Signed, [])
          assert.include(yield* deltaAfter(4), '"from":4')
        }).pipe(fresh)
      }
      yield* growing(5)
      yield* sql`delete from revocation_lists where version = 2`
      assert.deepInclude(yield* Effect.flip(fresh(deltaAfter(2))), { _tag: "VersionExpired", earliest: 5 })
    })
  )

  it.effect("are refused where they would be no smaller than the list", () =>
    Effect.gen(function* () {
      yield* unpublished
      const entries = Array.from({ length: MAX_CHANGES + 2 }, (_, n) => entry(n))
      yield* publish({ version: 1, entries: [], changes: [], ageSecs: 3 })
      yield* publish({
        version: 2,
        entries: entries.slice(0, 1),
        changes: came(2, entries.slice(0, 1)),
        ageSecs: 2
      })
      yield* publish({
        version: 3,
        entries: entries.slice(0, 2),
        changes: came(3, entries.slice(1, 2)),
        ageSecs: 1
      })
      yield* publish({ version: 4, entries, changes: came(4, entries.slice(2)) })
      yield* Effect.gen(function* () {
        assert.deepInclude(yield* Effect.flip(deltaAfter(1)), { _tag: "VersionExpired", earliest: 3 })
        const delta = yield* Effect.flatMap(deltaAfter(3), (text) =>
          Effect.promise(() => readRevocationDelta(text, cp.aid))
        )
        assert.strictEqual(delta.added.size, MAX_CHANGES)
      }).pipe(fresh)
    })
  )

  it.effect("go on for the others when the first one who asked goes away", () =>
    Effect.gen(function* () {
      yield* growing(3)
      yield* Effect.gen(function* () {
        const first = yield* Effect.forkChild(deltaAfter(1))
        const second = yield* Effect.forkChild(deltaAfter(1))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        assert.include(yield* Fiber.join(second), '"from":1')
      }).pipe(fresh)
    })
  )

  it.effect("are not made from a failed read, and made from the next one that succeeds", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* growing(3)
      yield* Effect.gen(function* () {
        yield* deltaAfter()
        yield* sql`alter table revocation_list_changes rename to revocation_list_changes_away`
        assert.isTrue(Exit.hasDies(yield* Effect.exit(deltaAfter(1))))
        assert.include(yield* deltaAfter(3), '"from":3')
        yield* sql`alter table revocation_list_changes_away rename to revocation_list_changes`
        assert.include(yield* deltaAfter(1), '"from":1')
      }).pipe(fresh)
    })
  )

  it.effect("are not served while the list is not", () =>
    Effect.gen(function* () {
      yield* unpublished
      assert.strictEqual((yield* Effect.flip(fresh(deltaAfter())))._tag, "ListUnavailable")
      assert.strictEqual((yield* Effect.flip(fresh(deltaAfter(1))))._tag, "ListUnavailable")
    })
  )
})
