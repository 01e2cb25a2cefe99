import { assert, layer } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { LedgerAudit } from "../../../src/log/LedgerAudit.ts"
import { LogTrees } from "../../../src/log/LogTrees.ts"
import { SelfAudit } from "../../../src/log/SelfAudit.ts"
import { append, emptied, integrate, takeLease, testLog } from "../../support/log/TestLog.ts"

const EVENTS = 600
const ID = "018f0000-0000-7000-8000-000000000000"
/** The event that most attacks are on, and another one. */
const TARGET = 301
const OTHER = 450

/** A ledger of `EVENTS` events, all of them signed but for the last ones. */
const prepared = (unsigned = 0) =>
  Effect.gen(function* () {
    yield* emptied
    const event = () => ({
      type: "handshake.completed",
      aidA: "alice",
      sessionId: "s",
      grants: ["b", "a"],
      capability: "read",
      payload: '{"capability":"read","n":1}',
      artifacts: '{"tokens":1}',
      namespace: "n"
    })
    yield* append(EVENTS - unsigned, event)
    yield* integrate
    if (unsigned > 0) yield* append(unsigned, event)
  })

/** Looks at the ledger with the checkpoint that is served now. */
const verify = (from = 1, to?: number) =>
  Effect.gen(function* () {
    const { verify } = yield* LedgerAudit
    const { lineage, published, root, size } = yield* Effect.flatMap(LogTrees, ({ read }) => read)
    assert.strictEqual(published?.size, size)
    const checkpoint = { lineage, size, root, note: published?.note ?? "", cosignatures: 0 }
    return yield* verify(checkpoint, { after: from - 1, upTo: to, limit: 10_000 })
  })

const idAt = (seq: number) =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    const [row] = yield* sql<{ readonly id: string }>`select id from audit_events where seq = ${seq}::bigint`
    return row?.id ?? null
  }).pipe(Effect.orDie)

layer(testLog(), { timeout: "60 seconds", excludeTestServices: true })("the audit", (it) => {
  it.effect("finds nothing wrong with what was logged, signed or not yet", () =>
    Effect.gen(function* () {
      yield* prepared(20)
      assert.deepEqual(yield* verify(), { checked: EVENTS, finding: undefined, upTo: EVENTS, hasMore: false })
      assert.deepEqual(yield* verify(100, 149), {
        checked: 50,
        finding: undefined,
        upTo: 149,
        hasMore: false
      })
      const beyond = yield* verify(EVENTS + 5)
      assert.deepEqual([beyond.checked, beyond.finding], [0, undefined])
    })
  )

  it.effect("takes nothing for a fault that is appended or integrated meanwhile", () =>
    Effect.gen(function* () {
      yield* prepared()
      const written = yield* Deferred.make<void>()
      const writer = Effect.gen(function* () {
        for (let turn = 0; turn < 40; turn += 1) {
          yield* append(7)
          if (turn % 4 === 0) yield* integrate
        }
        yield* Deferred.succeed(written, undefined)
      })
      let looks = 0
      const auditor = Effect.gen(function* () {
        while (!(yield* Deferred.isDone(written))) {
          assert.isUndefined((yield* verify(EVENTS - 100)).finding)
          looks += 1
        }
      })
      yield* Effect.all([writer, auditor, auditor], { concurrency: "unbounded" })
      assert.isAbove(looks, 10)
    })
  )

  it.effect("finds every change of a row, and names the event and what is wrong", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const cases = [
        ["columns", sql`type = 'x', canonical_type = 'x'`],
        ["columns", sql`ts = ts + interval '1 ms'`],
        ["columns", sql`ts = ts + interval '1 us'`],
        ["columns", sql`ts = 'infinity'`],
        ["columns", sql`received_at = received_at - interval '1 day'`],
        ["columns", sql`aid_a = 'mallory'`],
        ["columns", sql`aid_b = 'mallory'`],
        ["columns", sql`session_id = null`],
        ["columns", sql`run_id = ''`],
        ["columns", sql`namespace = 'm'`],
        ["columns", sql`grants = '["a","b"]'`],
        ["columns", sql`grants = '["b",1]'`],
        ["columns", sql`grants = null`],
        ["columns", sql`source = 'cp'`],
        ["columns", sql`reported_by = 'somebody'`],
        ["columns", sql`org_ids = org_ids || gen_random_uuid()`],
        ["columns", sql`agent_id = 'x'`],
        ["columns", sql`outcome = 'x'`],
        ["columns", sql`id = ${ID}`],
        ["columns", sql`payload_hash = sha256('x')`],
        ["columns", sql`artifacts_hash = null`],
        ["columns", sql`leaf_hash = sha256('x')`],
        ["payload", sql`payload = replace(payload, '1', '2')`],
        ["payload", sql`payload = payload || ' '`],
        ["payload", sql`salt = substr(sha256('x'), 1, 16)`],
        ["payload", sql`artifacts = '{}'`],
        ["payload", sql`artifacts = null`],
        ["derived", sql`canonical_type = 'handshake.completed'`],
        ["derived", sql`capability = 'write'`],
        ["derived", sql`capability = null`]
      ] as const
      yield* prepared()
      for (const [fault, change] of cases) {
        yield* sql`create table kept as select * from audit_events where seq = ${TARGET}::bigint`
        yield* sql`update audit_events set ${change} where seq = ${TARGET}::bigint`
        const eventId = yield* idAt(TARGET)
        const { checked, finding, hasMore } = yield* verify(TARGET - 5)
        assert.deepEqual(finding, { seq: TARGET, fault, eventId, positions: 1 }, change.toString())
        assert.deepEqual([checked, hasMore], [5, true])
        assert.isUndefined((yield* verify(TARGET + 1, TARGET + 5)).finding)
        yield* sql`delete from audit_events where seq = ${TARGET}::bigint`
        yield* sql`insert into audit_events select * from kept`
        yield* sql`drop table kept`
      }
      assert.isUndefined((yield* verify()).finding)
    })
  )

  it.effect("finds rows that were forged together with their hashes, once they are signed", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared()
      // A row that agrees with itself, made by storing another event and moving it.
      yield* append(1, () => ({ aidA: "mallory" }))
      yield* sql`delete from audit_events where seq = ${TARGET}::bigint`
      yield* sql`update audit_events set seq = ${TARGET}::bigint where seq = ${EVENTS + 1}::bigint`
      yield* sql`update log_head set seq = ${EVENTS}::bigint`
      const { finding } = yield* verify()
      assert.deepEqual(finding, { seq: TARGET, fault: "leaf", eventId: yield* idAt(TARGET), positions: 1 })
    })
  )

  it.effect("finds rows that changed places, and names the first", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared()
      yield* sql`update audit_events set seq = 100000 where seq = ${TARGET}::bigint`
      yield* sql`update audit_events set seq = ${TARGET}::bigint where seq = ${OTHER}::bigint`
      yield* sql`update audit_events set seq = ${OTHER}::bigint where seq = 100000`
      const { finding } = yield* verify()
      assert.deepEqual(finding, { seq: TARGET, fault: "leaf", eventId: yield* idAt(TARGET), positions: 1 })
      assert.strictEqual((yield* verify(TARGET + 1)).finding?.seq, OTHER)
    })
  )

  it.effect("finds a row pushed in between the others, which all move up", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared()
      yield* append(1, () => ({ aidA: "mallory" }))
      yield* sql`update audit_events set seq = seq + 100000 where seq >= ${TARGET}::bigint`
      yield* sql`update audit_events set seq = ${TARGET}::bigint where seq = ${EVENTS + 1 + 100_000}::bigint`
      yield* sql`update audit_events set seq = seq - 100000 + 1 where seq > 100000`
      const { finding } = yield* verify()
      assert.deepEqual(finding, { seq: TARGET, fault: "leaf", eventId: yield* idAt(TARGET), positions: 1 })
    })
  )

  it.effect("finds deleted rows and names the event that was there", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared(5)
      const gone = yield* idAt(TARGET)
      yield* sql`delete from audit_events where seq between ${TARGET}::bigint and ${TARGET + 2}::bigint`
      const first = yield* verify()
      assert.deepEqual(first.finding, { seq: TARGET, fault: "missing", eventId: gone, positions: 3 })
      assert.strictEqual(first.checked, TARGET - 1)
      // The last one, which was not signed yet, and all of them.
      yield* prepared(5)
      const last = yield* idAt(EVENTS)
      yield* sql`delete from audit_events where seq = ${EVENTS}::bigint`
      const end = yield* verify()
      assert.deepEqual(end.finding, { seq: EVENTS, fault: "missing", eventId: last, positions: 1 })
      yield* sql`truncate audit_events`
      const all = yield* verify()
      assert.deepEqual([all.finding?.seq, all.finding?.positions], [1, EVENTS])
      // Who removes the id as well leaves nobody who knows it.
      yield* sql`truncate event_ids`
      assert.isNull((yield* verify()).finding?.eventId)
    })
  )

  it.effect("finds rows beyond the ledger's end", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared()
      yield* append(1)
      yield* sql`update log_head set seq = ${EVENTS}::bigint`
      const eventId = yield* idAt(EVENTS + 1)
      const { finding } = yield* verify()
      assert.deepEqual(finding, { seq: EVENTS + 1, fault: "inserted", eventId, positions: 1 })
    })
  )

  it.effect("finds hashes of the tree that were changed to fit a forged row", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      for (const level of [0, 1]) {
        yield* prepared()
        yield* sql`update log_tiles set hashes = overlay(hashes placing sha256('x') from 33) where level = ${level}::int and index = 0`
        const { finding } = yield* verify()
        assert.deepEqual([finding?.fault, finding?.seq], ["tree", 1])
      }
      // The tile below the one that is whole tells which rows can still be compared.
      yield* prepared()
      yield* sql`update log_tiles set hashes = overlay(hashes placing sha256('x') from 33) where level = 0 and index = 1`
      assert.strictEqual((yield* verify()).finding?.seq, 257)
    })
  )

  it.effect("takes neither retention nor an erased payload for a fault", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* prepared()
      yield* sql`update audit_events set payload = null, artifacts = null where seq = ${TARGET}::bigint`
      assert.isUndefined((yield* verify()).finding)
      yield* sql`delete from audit_events where seq <= 200`
      yield* sql`update log_tree set dropped_to = 200`
      assert.deepEqual(yield* verify(), {
        checked: EVENTS - 200,
        finding: undefined,
        upTo: EVENTS,
        hasMore: false
      })
      yield* sql`delete from audit_events where seq = 201`
      assert.strictEqual((yield* verify()).finding?.seq, 201)
      // What lies about where rows were dropped is still compared.
      yield* append(1)
      yield* sql`update audit_events set seq = 7 where seq = ${EVENTS + 1}::bigint`
      yield* sql`update log_head set seq = ${EVENTS}::bigint`
      assert.deepEqual((yield* verify()).finding, {
        seq: 7,
        fault: "leaf",
        eventId: yield* idAt(7),
        positions: 1
      })
    })
  )

  it.effect("runs by itself in chunks, counts what it finds and goes on where it stopped", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { runOnce } = yield* SelfAudit
      const state = Effect.map(
        sql<Record<string, unknown>>`
          select seq::int, failures::int, last_failures::int, last_completed_at is not null as done from log_audit`,
        ([row]) => row
      )
      yield* prepared()
      yield* sql`update audit_events set aid_a = 'mallory' where seq in (3, ${TARGET}::bigint)`
      yield* sql`delete from audit_events where seq in (400, 401)`
      const first = yield* takeLease("log-audit")
      assert.strictEqual(yield* runOnce(first), "more")
      assert.deepEqual(yield* state, { seq: 250, failures: 1, lastFailures: 0, done: false })
      // Another replica goes on; the first one, should it wake up, changes nothing.
      const second = yield* takeLease("log-audit")
      yield* runOnce(first)
      assert.deepEqual(yield* state, { seq: 250, failures: 1, lastFailures: 0, done: false })
      yield* runOnce(second)
      assert.strictEqual(yield* runOnce(second), "idle")
      assert.deepEqual(yield* state, { seq: 0, failures: 0, lastFailures: 4, done: true })
      // Not again at once, but again.
      assert.strictEqual(yield* runOnce(second), "idle")
      assert.deepEqual(yield* state, { seq: 0, failures: 0, lastFailures: 4, done: true })
      yield* sql`update log_audit set last_completed_at = last_completed_at - interval '1 hour'`
      assert.strictEqual(yield* runOnce(second), "more")
    })
  )
})
