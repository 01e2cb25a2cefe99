import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { DEFAULT_ORG, visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"

const reporter = { principal: system, receivedAt: Date.UTC(2026, 0, 2) }
const otherOrg = "0f000000-0000-8000-8000-00000000000a"

/** Positions of the ledger in order, with the ids that hold them. */
const positions = Effect.gen(function* () {
  const { sql } = yield* Db
  return yield* sql<{ readonly seq: number; readonly id: string }>`
    select seq::float8 as seq, id from audit_events order by audit_events.seq`
})

const assertGapless = Effect.gen(function* () {
  const rows = yield* positions
  assert.deepEqual(
    rows.map(({ seq }) => seq),
    rows.map((_, index) => index + 1)
  )
  assert.strictEqual(new Set(rows.map(({ id }) => id)).size, rows.length)
  const { sql } = yield* Db
  const [head] = yield* sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`
  assert.strictEqual(head?.seq, rows.length)
})

layer(Ledger, { timeout: "60 seconds" })("ledger", (it) => {
  it.effect("gives positions in the order of the events and says which were known", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const [a, b, c] = [newEvent(), newEvent(), newEvent()]
      const first = yield* ingest.record(reporter, [a, b])
      assert.deepEqual(first.outcomes, ["stored", "stored"])
      assert.deepEqual(first.seqs, [first.head - 1, first.head])
      assert.match(first.epoch, /^[0-9a-f]{8}$/)

      const second = yield* ingest.record(reporter, [c, a])
      assert.deepEqual(second.outcomes, ["stored", "duplicate"])
      assert.deepEqual(second.seqs, [first.head + 1, first.head - 1])
      assert.strictEqual(second.head, second.seqs[0])
    })
  )

  it.effect("keeps the first of two different events under one id, also inside one request", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const event = newEvent({ payload: '{"n":1}', content: "1" })
      const changed = { ...event, payload: '{"n":2}', content: "2" }
      const { outcomes, seqs } = yield* ingest.record(reporter, [event, changed, event])
      assert.deepEqual(outcomes, ["stored", "conflict", "duplicate"])
      assert.strictEqual(new Set(seqs).size, 1)
      assert.deepEqual((yield* ingest.record(reporter, [changed])).outcomes, ["conflict"])
      const events = yield* AuditEvents
      const stored = yield* events.findById(event.id, visibleToAll)
      assert.strictEqual(Option.getOrThrow(stored).payload, '{"n":1}')
    })
  )

  it.effect("stores what it was given, byte for byte", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const event = newEvent({
        type: "handshake.completed",
        aidA: "a",
        aidB: "b",
        sessionId: "s",
        runId: "r",
        namespace: "n",
        grants: ["x.y", 'quote"'],
        payload: '{ "z": 1.0, "a": "ü\\u0041" }',
        artifacts: '[{"path":"/t"}]'
      })
      yield* ingest.record(reporter, [event])
      const events = yield* AuditEvents
      const stored = Option.getOrThrow(yield* events.findById(event.id, visibleToAll))
      assert.strictEqual(stored.payload, event.payload)
      assert.strictEqual(stored.artifacts, event.artifacts)
      assert.strictEqual(stored.type, "handshake.completed")
      assert.deepEqual(JSON.parse(stored.grants ?? "null"), event.grants)
      assert.strictEqual(stored.ts.getTime(), event.ts)
      assert.deepEqual(
        [stored.aidA, stored.aidB, stored.sessionId, stored.runId, stored.namespace, stored.reportedBy],
        ["a", "b", "s", "r", "n", "system"]
      )
      const { sql } = yield* Db
      const [row] = yield* sql<{ readonly canonicalType: string }>`
        select canonical_type from audit_events where id = ${event.id}::uuid`
      assert.strictEqual(row?.canonicalType, "handshake.complete")
    })
  )

  it.effect("keeps numbers gapless and unique when many appends race on overlapping ids", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const shared = Array.from({ length: 40 }, () => newEvent())
      const results = yield* Effect.forEach(
        Array.from({ length: 24 }, (_, index) => index),
        (index) => {
          const own = Array.from({ length: 5 }, () => newEvent())
          const overlap = shared.slice(index, index + 15)
          return ingest.record(
            reporter,
            index % 2 === 0 ? [...own, ...overlap] : [...overlap.toReversed(), ...own]
          )
        },
        { concurrency: 24 }
      )
      const stored = results.flatMap(({ outcomes }) => outcomes.filter((outcome) => outcome === "stored"))
      assert.strictEqual(stored.length, 24 * 5 + 38)
      yield* assertGapless
    })
  )

  it.effect("recognises its own attempt when its answer was lost and it is sent again", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const events = yield* AuditEvents
      const event = newEvent()
      const answers: Array<ReadonlyArray<string>> = []
      yield* ingest.act(reporter, Effect.succeed([event]), (sealed, version) =>
        Effect.gen(function* () {
          for (let sent = 0; sent < 2; sent += 1) {
            const answer = yield* events.append(sealed, version)
            if ("outcomes" in answer) answers.push(answer.outcomes)
          }
        })
      )
      assert.deepEqual(answers, [["stored"], ["stored"]])
      yield* assertGapless
    })
  )

  it.effect("looks owners up again when they changed between look-up and append", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const { sql } = yield* Db
      yield* ingest.record(reporter, [newEvent()]) // the owners of the moment are now remembered
      yield* sql`insert into namespaces (namespace, org_id) values ('claimed', ${otherOrg}::uuid)`
      const [inside, outside] = [newEvent({ namespace: "claimed" }), newEvent({ namespace: "free" })]
      yield* ingest.record(reporter, [inside, outside])
      const rows = yield* sql<{ readonly id: string; readonly orgs: string }>`
        select id, org_ids::text as orgs from audit_events where id in (${inside.id}::uuid, ${outside.id}::uuid)`
      assert.deepEqual(
        new Map(rows.map(({ id, orgs }) => [id, orgs])),
        new Map([
          [inside.id, `{${otherOrg}}`],
          [outside.id, `{${DEFAULT_ORG}}`]
        ])
      )
      const events = yield* AuditEvents
      const own = { _tag: "orgs", orgIds: [otherOrg] } as const
      assert.isTrue(Option.isSome(yield* events.findById(inside.id, own)))
      assert.isTrue(Option.isNone(yield* events.findById(outside.id, own)))
      yield* sql`delete from namespaces`
    })
  )

  it.effect("makes room for positions beyond the last partition", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const { sql } = yield* Db
      const [before] = yield* sql<{ readonly seq: number }>`select seq::float8 as seq from log_head`
      yield* sql`update log_head set seq = 4999999`
      const { seqs } = yield* ingest.record(reporter, [newEvent(), newEvent(), newEvent()])
      assert.deepEqual(seqs, [5_000_000, 5_000_001, 5_000_002])
      const [second] = yield* sql<{ readonly n: number }>`select count(*)::int as n from audit_events_p1`
      assert.strictEqual(second?.n, 2)
      yield* sql`delete from audit_events where seq > 4999999`
      yield* sql`update log_head set seq = ${before?.seq ?? 0}::bigint`
    })
  )
})
