import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { parseUuid } from "../../../src/aitp/ids.ts"
import { mightContain, readRevocationFilter } from "../../../src/client/revocation-filter.ts"
import { readRevocationStatus } from "../../../src/client/revocation-status.ts"
import { ChangeFeed } from "../../../src/revocation/ChangeFeed.ts"
import { FilterFeed } from "../../../src/revocation/FilterFeed.ts"
import { RevocationList } from "../../../src/revocation/RevocationList.ts"
import { StatusFeed } from "../../../src/revocation/StatusFeed.ts"
import { TestDb } from "../../support/db/TestDb.ts"
import { digestOf } from "../../support/revocation-feeds/documents.ts"
import { type Entry, inOrder, jtiOf } from "../../support/revocation-feeds/histories.ts"
import { cp, publish, Replica, Signed, textOf, unpublished } from "../../support/revocation-feeds/Replica.ts"

const MAX_STALL_MS = 50

const filterText = Effect.flatMap(FilterFeed, ({ current }) =>
  Effect.map(current, ({ identity }) => textOf(identity.full))
)

const readFilter = (text: string) => Effect.promise(() => readRevocationFilter(text, cp.aid))

const statusText = Effect.fnUntraced(function* (jti: string) {
  const statuses = yield* StatusFeed
  const id = parseUuid(jti)
  assert.isDefined(id)
  return textOf((yield* statuses.of(id)).full)
})

const many = (count: number): ReadonlyArray<Entry> =>
  inOrder(
    Array.from({ length: count }, (_, n) => ({
      jti: jtiOf(n),
      revoked_at: 1_699_000_000 + (n % 1000),
      reason: "key compromise"
    }))
  )

const now = () => Math.floor(Date.now() / 1000)

/** Longest time in ms for which this thread computed without turning to others; not counted while it waits for a core. */
const longestRun = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  let longestMs = 0
  let before = process.threadCpuUsage()
  const timer = setInterval(() => {
    const { system, user } = process.threadCpuUsage(before)
    longestMs = Math.max(longestMs, (system + user) / 1000)
    before = process.threadCpuUsage()
  }, 1)
  const value = yield* Effect.ensuring(
    effect,
    Effect.sync(() => clearInterval(timer))
  )
  return { value, longestMs }
})

/** A replica that knows nothing yet. */
const fresh = Effect.provide(Layer.fresh(Replica))

layer(TestDb, { timeout: "60 seconds", excludeTestServices: true })("filter of the list", (it) => {
  it.effect(
    "holds 100,000 entries in at most 450 kB, the same on every replica, and does not stall the event loop",
    () =>
      Effect.gen(function* () {
        yield* unpublished
        const entries = many(100_000)
        yield* publish({ version: 1, entries, changes: [] })
        const built = Effect.gen(function* () {
          // what it costs to fetch the list is not the filter's
          yield* (yield* RevocationList).reach(1)
          return yield* longestRun(filterText)
        }).pipe(fresh)
        const { longestMs, value: text } = yield* built
        assert.isAbove(longestMs, 0)
        assert.isAtMost(longestMs, MAX_STALL_MS)
        assert.isAtMost(Buffer.byteLength(text), 450_000)
        assert.strictEqual((yield* built).value, text)

        const filter = yield* readFilter(text)
        assert.strictEqual(filter.entries, 100_000)
        for (let n = 0; n < 100_000; n += 97) {
          assert.isTrue(yield* Effect.promise(() => mightContain(filter, jtiOf(n), { now: now() })))
        }
        let hits = 0
        for (let n = 100_000; n < 102_000; n += 1) {
          if (yield* Effect.promise(() => mightContain(filter, jtiOf(n), { now: now() }))) hits += 1
        }
        assert.isAtMost(hits, 1)
      }),
    60_000
  )

  it.effect("follows the list, and keeps its set while the entries stay the same", () =>
    Effect.gen(function* () {
      yield* unpublished
      const entries = many(50)
      yield* publish({ version: 1, entries, changes: [], ageSecs: 5 })
      yield* Effect.gen(function* () {
        const lists = yield* RevocationList
        const first = yield* filterText
        yield* publish({ version: 2, entries, changes: [] })
        yield* lists.reach(2)
        const second = yield* filterText
        const [before, after] = [yield* readFilter(first), yield* readFilter(second)]
        assert.deepEqual([before.listVersion, after.listVersion], [1, 2])
        assert.isAbove(after.publishedAt, before.publishedAt)
        assert.deepEqual(after.values, before.values)

        yield* publish({ version: 3, entries: many(51), changes: [] })
        yield* lists.reach(3)
        const third = yield* readFilter(yield* filterText)
        assert.isTrue(yield* Effect.promise(() => mightContain(third, jtiOf(50), { now: now() })))
        assert.notStrictEqual(third.entriesSha256, after.entriesSha256)
      }).pipe(fresh)
    })
  )

  it.effect("is made and signed once, however many ask at a time", () =>
    Effect.gen(function* () {
      yield* unpublished
      yield* publish({ version: 1, entries: many(3000), changes: [] })
      yield* Effect.gen(function* () {
        const texts = yield* Effect.all(
          Array.from({ length: 30 }, () => filterText),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(texts).size, 1)
        assert.deepEqual(yield* Signed, ["revocation_filter"])
      }).pipe(fresh)
    })
  )

  it.effect("of an empty list holds nothing", () =>
    Effect.gen(function* () {
      yield* unpublished
      yield* publish({ version: 1, entries: [], changes: [] })
      const filter = yield* readFilter(yield* fresh(filterText))
      assert.strictEqual(filter.values.length, 0)
      assert.isFalse(yield* Effect.promise(() => mightContain(filter, jtiOf(1), { now: now() })))
    })
  )

  it.effect("is not served while the list is not", () =>
    Effect.gen(function* () {
      yield* unpublished
      assert.strictEqual((yield* Effect.flip(fresh(filterText)))._tag, "ListUnavailable")
      assert.strictEqual((yield* Effect.flip(fresh(statusText(jtiOf(1)))))._tag, "ListUnavailable")
    })
  )
})

layer(TestDb, { timeout: "60 seconds", excludeTestServices: true })(
  "exact look-up behind the filter",
  (it) => {
    it.effect("answers from the published list alone, and anew with every version", () =>
      Effect.gen(function* () {
        yield* unpublished
        yield* publish({ version: 1, entries: many(2), changes: [], ageSecs: 5 })
        yield* Effect.gen(function* () {
          const lists = yield* RevocationList
          const ask = Effect.fnUntraced(function* (jti: string) {
            const text = yield* statusText(jti)
            return yield* Effect.promise(() =>
              readRevocationStatus(text, { issuer: cp.aid, jti, now: now() })
            )
          })
          assert.include(yield* ask(jtiOf(1)), {
            revoked: true,
            revokedAt: 1_699_000_001,
            reason: "key compromise",
            listVersion: 1
          })
          assert.include(yield* ask(jtiOf(2)), { revoked: false, listVersion: 1 })
          yield* publish({ version: 2, entries: many(3), changes: [] })
          yield* lists.reach(2)
          assert.include(yield* ask(jtiOf(2)), { revoked: true, listVersion: 2 })
        }).pipe(fresh)
      })
    )

    it.effect("forgets a list whose version was published anew, after a restore", () =>
      Effect.gen(function* () {
        yield* unpublished
        yield* publish({ version: 1, entries: many(1), changes: [], ageSecs: 9 })
        yield* publish({ version: 2, entries: many(3), changes: [], ageSecs: 5 })
        yield* Effect.gen(function* () {
          const lists = yield* RevocationList
          const seen = Effect.map(
            Effect.all([
              statusText(jtiOf(2)),
              filterText,
              Effect.flatMap(ChangeFeed, ({ after }) => after(undefined))
            ]),
            ([status, filter, delta]) => [
              status.includes('"revoked":true'),
              /"entries":(\d+)/.exec(filter)?.[1],
              /"entries_sha256":"([^"]*)"/.exec(textOf(delta.full))?.[1]
            ]
          )
          assert.deepEqual(yield* seen, [true, "3", digestOf(many(3))])
          yield* unpublished
          yield* publish({ version: 2, entries: many(2), changes: [] })
          yield* lists.refresh
          assert.deepEqual(yield* seen, [false, "2", digestOf(many(2))])
        }).pipe(fresh)
      })
    )

    it.effect("is signed once for each id and version, and the same on every replica", () =>
      Effect.gen(function* () {
        yield* unpublished
        yield* publish({ version: 1, entries: many(2), changes: [] })
        const asked = Effect.gen(function* () {
          const texts = yield* Effect.all(
            Array.from({ length: 20 }, (_, n) => statusText(jtiOf(n % 4))),
            { concurrency: "unbounded" }
          )
          assert.strictEqual((yield* Signed).length, 4)
          return texts
        }).pipe(fresh)
        assert.deepEqual(yield* asked, yield* asked)
      })
    )
  }
)
