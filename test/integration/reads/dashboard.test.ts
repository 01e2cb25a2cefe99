import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { DEFAULT_ORG, type Visibility, visibleToAll } from "../../../src/access/Visibility.ts"
import { Dashboard } from "../../../src/dashboard/Dashboard.ts"
import { DocumentRoom, pagesOf } from "../../../src/wire/export.ts"
import { ProjectedLedger, report } from "../../support/projections/ledger.ts"

const HOUR = 3_600_000
const own: Visibility = { _tag: "orgs", orgIds: [DEFAULT_ORG] }
const foreign: Visibility = { _tag: "orgs", orgIds: ["00000000-0000-8000-8000-0000000000ff"] }

/** Start of the UTC hour that lies three hours back: well inside a day, and outside an hour. */
const base = Math.floor(Date.now() / HOUR) * HOUR - 3 * HOUR

const handshake = (sessionId: string, ts: number, more: object = {}) => ({
  type: "handshake.started",
  ts,
  sessionId,
  aidA: "a",
  aidB: "b",
  ...more
})
const invoked = (capability: string | undefined, ts: number, aidA = "a") => ({
  type: "capability.invoked",
  ts,
  aidA,
  payload: capability === undefined ? {} : { capability }
})

const events = [
  handshake("s1", base, { payload: { boundary: "edge" } }),
  { type: "handshake.completed", ts: base + 1, sessionId: "s1" },
  handshake("s2", base + HOUR, { payload: { boundary: "edge" } }),
  { type: "handshake.failed", ts: base + HOUR + 1, sessionId: "s2" },
  handshake("s3", base + HOUR + 2, { aidA: "b", aidB: "a" }),
  handshake("s4", base - 48 * HOUR, { payload: { boundary: 'quoted "core"' } }),
  handshake("s5", Date.now() + 24 * HOUR), // from a clock that is a day ahead
  invoked("echo", base),
  invoked("echo", base + 1),
  invoked("read", base, "b"),
  invoked(undefined, base),
  invoked("echo", base - 48 * HOUR)
]

layer(
  ProjectedLedger.pipe((ledger) => Layer.mergeAll(Dashboard.layer).pipe(Layer.provideMerge(ledger))),
  {
    timeout: "60 seconds",
    excludeTestServices: true
  }
)("the dashboard", (it) => {
  it.effect("is empty before anything was reported", () =>
    Effect.gen(function* () {
      const { overview } = yield* Dashboard
      const { since, ...counted } = yield* overview("1h", visibleToAll)
      assert.approximately(since.getTime(), Date.now() - HOUR, 60_000)
      assert.deepEqual(counted, {
        agentsRegistered: 0,
        handshakesTotal: 0,
        handshakesInRange: 0,
        handshakesSuccessInRange: 0,
        activeSessions: 0,
        capabilityInvocationsInRange: 0,
        pendingWebhookDeliveries: 0,
        handshakesByBoundary: [],
        handshakesOverTime: [],
        topCapabilities: []
      })
    })
  )

  it.effect("counts sessions by when they were first heard of, and events by their own time", () =>
    Effect.gen(function* () {
      yield* report(events)
      const { overview } = yield* Dashboard
      const { since: _, ...day } = yield* overview("24h", visibleToAll)
      assert.deepEqual(day, {
        agentsRegistered: 0,
        handshakesTotal: 5,
        handshakesInRange: 5,
        handshakesSuccessInRange: 1,
        activeSessions: 3,
        capabilityInvocationsInRange: 4,
        pendingWebhookDeliveries: 0,
        handshakesByBoundary: [
          { boundary: "edge", count: 2 },
          { boundary: "unknown", count: 2 },
          { boundary: 'quoted "core"', count: 1 }
        ],
        handshakesOverTime: [
          { bucket: new Date(base).toISOString(), count: 2 },
          { bucket: new Date(base + HOUR).toISOString(), count: 2 }
        ],
        topCapabilities: [
          { capability: "echo", count: 2 },
          { capability: "read", count: 1 }
        ]
      })
      const hour = yield* overview("1h", visibleToAll)
      assert.deepEqual([hour.handshakesOverTime, hour.capabilityInvocationsInRange], [[], 0])
      const week = yield* overview("7d", visibleToAll)
      const dayOf = (ts: number) => `${new Date(ts).toISOString().slice(0, 10)}T00:00:00.000Z`
      const buckets = Map.groupBy([base - 48 * HOUR, base, base, base + HOUR, base + HOUR], dayOf)
      assert.deepEqual(
        week.handshakesOverTime,
        [...buckets].map(([bucket, { length }]) => ({ bucket, count: length }))
      )
    })
  )

  it.effect("counts nothing that the caller may not see", () =>
    Effect.gen(function* () {
      yield* report(events)
      const { activity, overview } = yield* Dashboard
      const seen = yield* overview("24h", own)
      assert.strictEqual(seen.handshakesTotal, 5)
      assert.strictEqual(seen.capabilityInvocationsInRange, 4)
      const unseen = yield* overview("24h", foreign)
      assert.deepEqual(
        [unseen.handshakesTotal, unseen.handshakesInRange, unseen.capabilityInvocationsInRange],
        [0, 0, 0]
      )
      assert.deepEqual([unseen.handshakesByBoundary, unseen.handshakesOverTime], [[], []])
      const none = { handshakesAsInitiator: 0, handshakesAsResponder: 0, capabilityInvocations: 0 }
      assert.deepEqual(yield* activity(["a"], foreign), [{ aid: "a", ...none }])
    })
  )

  it.effect("tells what each agent took part in, in the order asked for", () =>
    Effect.gen(function* () {
      yield* report(events)
      const { activity } = yield* Dashboard
      assert.deepEqual(yield* activity(["b", "nobody", "a"], visibleToAll), [
        { aid: "b", handshakesAsInitiator: 1, handshakesAsResponder: 4, capabilityInvocations: 1 },
        { aid: "nobody", handshakesAsInitiator: 0, handshakesAsResponder: 0, capabilityInvocations: 0 },
        { aid: "a", handshakesAsInitiator: 4, handshakesAsResponder: 1, capabilityInvocations: 4 }
      ])
      assert.deepEqual(yield* activity([], visibleToAll), [])
    })
  )

  it.effect("reads a long list page by page, and only as far as it is wanted", () =>
    Effect.gen(function* () {
      const reads: Array<number | undefined> = []
      const numbers = {
        read: (limit: number, after: number | undefined) =>
          Effect.sync(() => {
            reads.push(after)
            const first = (after ?? 0) + 1
            return Array.from({ length: Math.min(limit + 1, 1201 - first) }, (_, n) => first + n)
          }),
        positionOf: (n: number) => n
      }
      const pages = yield* Stream.runCollect(pagesOf(numbers))
      assert.deepEqual(
        pages.flat(),
        Array.from({ length: 1200 }, (_, n) => n + 1)
      )
      assert.deepEqual(reads.splice(0), [undefined, 500, 1000])
      yield* Stream.runCollect(Stream.take(pagesOf(numbers), 1))
      assert.deepEqual(reads.splice(0), [undefined])

      const room = new DocumentRoom()
      const some = yield* room.take(numbers, 3, String)
      assert.deepEqual(some, { json: "[1,2,3]", count: 3, last: 3, more: true })
      const all = yield* room.take(numbers, 1200, String)
      assert.deepEqual([all.count, all.last, all.more], [1200, 1200, false])
    })
  )
})
