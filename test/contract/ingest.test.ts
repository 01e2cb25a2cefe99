import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { joined, agentPath, type AgentRow, unique } from "../support/service/agents.ts"
import { outcome, outcomeOf, read, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { type EventRow, eventsOfRun, ingest, type Ingested, postEvents } from "../support/service/events.ts"
import { anyService, Control, isRemote, OTHER_KEY, ownService, Service } from "../support/service/Service.ts"
import { eventually } from "../support/db/eventually.ts"

const nothing: Ingested = {
  ingested: 0,
  inserted: 0,
  duplicates: 0,
  dropped: 0,
  sanitized: 0,
  errors: [],
  position: null
}

/** What one reported event becomes. */
const stored = Effect.fnUntraced(function* (event: object) {
  const runId = unique("run")
  const { inserted } = yield* ingest([{ ...event, runId }])
  assert.strictEqual(inserted, 1)
  const [row] = yield* eventsOfRun(runId)
  assert.isDefined(row)
  return row as EventRow // checked just above
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("reporting events", (it) => {
  it.effect("answers exactly the promised members", () =>
    Effect.gen(function* () {
      const answer = yield* ingest([{ type: "a", runId: unique("run") }])
      const { position, ...rest } = answer
      assert.deepEqual(rest, {
        ingested: 1,
        inserted: 1,
        duplicates: 0,
        dropped: 0,
        sanitized: 0,
        errors: []
      })
      assert.match(String(position), /^[0-9a-f]{8}\.\d+$/)
    })
  )

  for (const body of [
    "{}",
    '{"events":null}',
    '{"events":[]}',
    "[]",
    "null",
    "1",
    '"x"',
    "true",
    '{"other":[{}]}'
  ]) {
    it.effect(`answers 200 and stores nothing for ${body}`, () =>
      Effect.gen(function* () {
        assert.deepEqual(yield* ingest(body), nothing)
      })
    )
  }

  for (const body of [
    '{"events":{}}',
    '{"events":"x"}',
    '{"events":1}',
    '{"events":false}',
    "{",
    "",
    "[1,]",
    "\ufeff[]"
  ]) {
    it.effect(`refuses ${JSON.stringify(body)}`, () =>
      Effect.gen(function* () {
        assertRefused(yield* postEvents(body), 400, "BODY_INVALID")
      })
    )
  }

  it.effect("takes an array and an object with events alike", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      yield* ingest([{ type: "bare", runId }])
      yield* ingest({ events: [{ type: "wrapped", runId }], more: 1 })
      assert.deepEqual(
        (yield* eventsOfRun(runId)).map(({ type }) => type),
        ["bare", "wrapped"]
      )
    })
  )

  it.effect("skips what is no object and counts it nowhere", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const answer = yield* ingest([null, 1, "x", [], [{ type: "nested" }], true, { type: "kept", runId }])
      assert.deepInclude(answer, { ingested: 1, inserted: 1, dropped: 0, errors: [] })
    })
  )

  it.effect("stores a full event as sent, with nulls for what is absent", () =>
    Effect.gen(function* () {
      const sessionId = randomUUID()
      const id = randomUUID()
      const event = yield* stored({
        id: id.toUpperCase(),
        type: "handshake.complete",
        ts: "2026-01-02T03:04:05.678+02:00",
        aidA: "alice",
        aidB: "bob",
        sessionId,
        grants: ["a", "b"],
        payload: { b: 1, a: [null, { z: "ü" }] },
        source: "sdk",
        namespace: "n"
      })
      const { createdAt, reportedBy, runId, seq, ...rest } = event
      assert.deepEqual(rest, {
        id,
        type: "handshake.complete",
        ts: "2026-01-02T01:04:05.678Z",
        aidA: "alice",
        aidB: "bob",
        sessionId,
        grants: ["a", "b"],
        payload: { b: 1, a: [null, { z: "ü" }] },
        source: "sdk",
        namespace: "n",
        artifacts: null
      })
      assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.isAbove(seq, 0)
      assert.match(reportedBy, /^apikey:[0-9a-f]{16}$|^anonymous$/)
      assert.deepEqual(yield* read(`/api/events/${id}`), { ...rest, createdAt, reportedBy, runId, seq })
      assert.strictEqual((yield* read(`/api/events/${id.toUpperCase()}`))["id"], id)
    })
  )

  it.effect("takes a bare event: type, source, time and payload have defaults", () =>
    Effect.gen(function* () {
      const before = Date.now()
      const event = yield* stored({ note: "x" })
      assert.deepInclude(event, {
        type: "unknown",
        source: "playground",
        aidA: null,
        aidB: null,
        sessionId: null,
        grants: null,
        namespace: null,
        payload: { note: "x", runId: event.runId }
      })
      assert.isAtLeast(Date.parse(event.ts), before - 5000)
      assert.match(event.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    })
  )

  it.effect(
    "takes every spelling of the parties, the session and the run; the first non-empty text wins",
    () =>
      Effect.gen(function* () {
        const parties: ReadonlyArray<readonly [object, object]> = [
          [
            { aid_a: "a", aid_b: "b" },
            { aidA: "a", aidB: "b" }
          ],
          [
            { initiator: "a", target: "b" },
            { aidA: "a", aidB: "b" }
          ],
          [
            { aidA: "1", aid_a: "2", initiator: "3", aidB: "1", aid_b: "2", target: "3" },
            { aidA: "1", aidB: "1" }
          ],
          [
            { aidA: "", aid_a: null, initiator: "3", aidB: 7, aid_b: "2" },
            { aidA: "3", aidB: "2" }
          ],
          [{ session_id: "s" }, { sessionId: "s" }],
          [{ sessionId: "", session_id: "s" }, { sessionId: "s" }],
          [{ namespace: "", payload: { namespace: "p" } }, { namespace: "p" }],
          [{ namespace: "n", payload: { namespace: "p" } }, { namespace: "n" }],
          [{ namespace: 7, payload: { namespace: {} } }, { namespace: null }],
          [{ grants: ["a", 1] }, { grants: null }],
          [{ grants: [] }, { grants: [] }],
          [{ grants: "a" }, { grants: null }],
          [{ source: 7 }, { source: "playground" }],
          [{ type: null }, { type: "unknown" }]
        ]
        for (const [given, expected] of parties)
          assert.deepInclude(yield* stored(given), expected, JSON.stringify(given))
        for (const member of ["runId", "run_id"]) {
          const run = unique("run")
          yield* ingest([{ type: "a", [member]: run }])
          assert.lengthOf(yield* eventsOfRun(run), 1)
        }
        const run = unique("run")
        yield* ingest([
          { type: "a", playground: { run_id: run } },
          { type: "b", runId: "", run_id: run, playground: { run_id: "other" } }
        ])
        assert.lengthOf(yield* eventsOfRun(run), 2)
      })
  )

  it.effect("stores a flat event of the runner with a fractional time and nulls as its own payload", () =>
    Effect.gen(function* () {
      const run = unique("run")
      const flat = {
        type: "step.finished",
        ts: 1_767_323_045.678,
        initiator: "alice",
        target: null,
        grants: null,
        payload: null,
        detail: { ok: true, at: null },
        playground: { run_id: run, scenario: "happy-path" }
      }
      yield* ingest([flat])
      const [event] = yield* eventsOfRun(run)
      assert.deepInclude(event, {
        type: "step.finished",
        ts: "2026-01-02T03:04:05.678Z",
        aidA: "alice",
        aidB: null,
        runId: run
      })
      assert.deepEqual(event?.payload, flat)
    })
  )

  for (const [ts, expected] of [
    [1_700_000_000, "2023-11-14T22:13:20.000Z"],
    [1_700_000_000_123, "2023-11-14T22:13:20.123Z"],
    [999_999_999_999, "receipt"],
    [1e12, "2001-09-09T01:46:40.000Z"],
    [0, "1970-01-01T00:00:00.000Z"],
    ["2026-01-02", "2026-01-02T00:00:00.000Z"],
    ["Fri, 02 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
    ["1969-12-31T23:59:59Z", "receipt"],
    ["+010000-01-01T00:00:00Z", "receipt"],
    [-1, "receipt"],
    [1e300, "receipt"],
    ["not a time", "receipt"],
    ["", "receipt"],
    [null, "receipt"],
    [{}, "receipt"]
  ] as const) {
    it.effect(`reads ts ${JSON.stringify(ts)} as ${expected}`, () =>
      Effect.gen(function* () {
        const { createdAt, ts: found } = yield* stored({ type: "t", ts, n: randomUUID() })
        if (expected === "receipt") assert.closeTo(Date.parse(found), Date.parse(createdAt), 5000)
        else assert.strictEqual(found, expected)
      })
    )
  }

  it.effect("lets nobody speak as the service itself", () =>
    Effect.gen(function* () {
      for (const source of ["cp", "idp"]) {
        const event = yield* stored({ type: "agent.registered", source })
        assert.strictEqual(event.source, `ingest:${source}`)
      }
      assert.strictEqual((yield* stored({ source: "cpx" })).source, "cpx")
    })
  )

  it.effect("drops items that are too long one by one, says why, and keeps the rest", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const limits = { type: 128, source: 128, aidA: 512, aidB: 512, sessionId: 255 }
      const items = Object.entries(limits).flatMap(([name, limit]) => [
        { type: name, runId, [name]: "x".repeat(limit + 1) },
        { type: name, runId, [name]: "💡".repeat(limit) }
      ])
      const answer = yield* ingest([
        ...items,
        { type: "run", runId: "r".repeat(256) },
        { type: "grants", runId, grants: ["g".repeat(49_149)] }
      ])
      assert.deepInclude(answer, { ingested: 5, inserted: 5, dropped: 7 })
      assert.deepEqual(
        answer.errors.map(({ field, index }) => [index, field]),
        [...Object.keys(limits).map((name, i) => [2 * i, name]), [10, "runId"], [11, "grants"]]
      )
      assert.isTrue(answer.errors.every(({ reason }) => reason.length > 0 && reason.length < 200))
      assert.lengthOf(yield* eventsOfRun(runId), 5)
    })
  )

  it.effect("explains the first twenty of many dropped items", () =>
    Effect.gen(function* () {
      const { dropped, errors } = yield* ingest(Array.from({ length: 30 }, () => ({ type: "x".repeat(129) })))
      assert.strictEqual(dropped, 30)
      assert.lengthOf(errors, 20)
    })
  )

  it.effect("keeps a payload 64 levels deep and drops a deeper one", () =>
    Effect.gen(function* () {
      const nested = (levels: number) => `${"[".repeat(levels)}1${"]".repeat(levels)}`
      const runId = unique("run")
      const item = (levels: number) => `{"type":"deep","runId":"${runId}","payload":${nested(levels)}}`
      const answer = yield* ingest(
        `[${item(64)},${item(65)},${item(20_000)},{"type":"shallow","runId":"${runId}"}]`
      )
      assert.deepInclude(answer, { ingested: 2, dropped: 2 })
      assert.deepEqual(
        answer.errors.map(({ field, index }) => [index, field]),
        [
          [1, "payload"],
          [2, "payload"]
        ]
      )
      const [deep] = yield* eventsOfRun(runId)
      assert.strictEqual(JSON.stringify(deep?.payload), nested(64))
    })
  )

  it.effect(
    "stores NUL and lone surrogates as U+FFFD, numbers beyond range as null, and counts these items",
    () =>
      Effect.gen(function* () {
        const runId = unique("run")
        const events = [
          `{"type":"a\\u0000b","runId":"${runId}","payload":{"k\\u0000":"\\ud800x","ok":"\\ud83d\\udca1"}}`,
          `{"type":"number","runId":"${runId}","payload":{"n":1e400,"m":[-1e999],"ok":1e308}}`,
          `{"type":"clean","runId":"${runId}","payload":{"text":"\\\\u0000 \\\\ud800"}}`,
          `{"type":"last","runId":"${runId}","aidA":"\\udc00","payload":{"a":1,"a":2}}`
        ]
        assert.deepInclude(yield* ingest(`[${events.join(",")}]`), { inserted: 4, sanitized: 3, dropped: 0 })
        const [text, number, clean, last] = yield* eventsOfRun(runId)
        assert.strictEqual(text?.type, "a\uFFFDb")
        assert.deepEqual(text?.payload, { "k\uFFFD": "\uFFFDx", ok: "💡" })
        assert.deepEqual(number?.payload, { n: null, m: [null], ok: 1e308 })
        assert.deepEqual(clean?.payload, { text: "\\u0000 \\ud800" })
        assert.deepInclude(last, { aidA: "\uFFFD" })
        assert.deepEqual(last?.payload, { a: 2 })
      })
  )

  it.effect("stores a number as null that only its many digits make too large", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const long = `1${"0".repeat(280)}`
      const { inserted, sanitized } = yield* ingest(
        `[{"runId":"${runId}","payload":{"n":[${long}e99,${long}]}}]`
      )
      assert.deepEqual([inserted, sanitized], [1, 1])
      const [event] = yield* eventsOfRun(runId)
      assert.deepEqual(event?.payload, { n: [null, 1e280] })
    })
  )

  it.effect("takes 500 items and refuses 501, whole", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const items = (n: number) => Array.from({ length: n }, (_, i) => ({ type: "n", runId, i }))
      assertRefused(yield* postEvents(items(501)), 413, "PAYLOAD_TOO_LARGE")
      assert.lengthOf(yield* eventsOfRun(runId), 0)
      assert.strictEqual((yield* ingest(items(500))).inserted, 500)
    })
  )

  it.effect(
    "takes a payload of 65536 bytes of UTF-8 and refuses one more, naming the type, and stores nothing",
    () =>
      Effect.gen(function* () {
        const runId = unique("run")
        const event = (bytes: number) => {
          const overhead = Buffer.byteLength(JSON.stringify({ x: "" }))
          const text = "é".repeat((bytes - overhead) >> 1) + "x".repeat((bytes - overhead) & 1)
          return { type: "big.one", runId, payload: { x: text } }
        }
        const refused = yield* postEvents([{ type: "small", runId }, event(65_537)])
        assertRefused(refused, 413, "PAYLOAD_TOO_LARGE", { eventType: "big.one" })
        assert.lengthOf(yield* eventsOfRun(runId), 0)
        assert.strictEqual((yield* ingest([event(65_536)])).inserted, 1)
      })
  )

  it.effect("takes a body of 262144 bytes and refuses one more, with and without Content-Length", () =>
    Effect.gen(function* () {
      const body = (bytes: number) => {
        const text = `[{"type":"padded","n":"${randomUUID()}"}]`
        return text + " ".repeat(bytes - text.length)
      }
      for (const chunked of [false, true]) {
        const given = (bytes: number) => ({ body: body(bytes), chunked, key: true })
        assertRefused(yield* send("/api/events", given(262_145)), 413, "PAYLOAD_TOO_LARGE")
        assertRefused(yield* send("/api/events", given(3_000_000)), 413, "PAYLOAD_TOO_LARGE")
        assert.strictEqual(yield* outcome("/api/events", given(262_144)), "200 ok")
      }
    })
  )

  it.effect("stores an id once, whatever its case, and counts the repeats", () =>
    Effect.gen(function* () {
      const id = randomUUID()
      const runId = unique("run")
      const event = { id, type: "a", runId, ts: 1_700_000_000 }
      assert.deepInclude(yield* ingest([event, { ...event, id: id.toUpperCase() }]), {
        ingested: 2,
        inserted: 1,
        duplicates: 1
      })
      const repeat = yield* ingest([event])
      assert.deepInclude(repeat, { ingested: 1, inserted: 0, duplicates: 1, position: null })
      assert.deepInclude(yield* ingest([{ ...event, type: "changed" }]), { inserted: 0, duplicates: 1 })
      const events = yield* eventsOfRun(runId)
      assert.deepEqual(
        events.map(({ id, type }) => ({ id, type })),
        [{ id, type: "a" }]
      )
    })
  )

  it.effect("derives the same id from the same name, for each source of its own", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const name = unique("event")
      const named = (source: string) => ({ id: name, type: "named", source, runId })
      assert.deepInclude(yield* ingest([named("x")]), { inserted: 1 })
      assert.deepInclude(yield* ingest([named("x"), named("y")]), { inserted: 1, duplicates: 1 })
      const events = yield* eventsOfRun(runId)
      for (const { id } of events) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/)
      assert.strictEqual(new Set(events.map(({ id }) => id)).size, 2)
    })
  )

  for (const id of [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "",
    7,
    null,
    {}
  ]) {
    it.effect(`does not take ${JSON.stringify(id)} for an id`, () =>
      Effect.gen(function* () {
        const event = yield* stored({ id, type: "odd", n: randomUUID() })
        assert.match(event.id, /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab]/)
      })
    )
  }

  it.effect(
    "stores a run log once that is sent as a prefix and again in full, identical items included",
    () =>
      Effect.gen(function* () {
        const runId = unique("run")
        const step = (n: number) => ({ type: "step", runId, ts: 1_700_000_000 + (n >> 1) })
        const log = Array.from({ length: 40 }, (_, n) => step(n)) // each twice
        assert.deepInclude(yield* ingest(log.slice(0, 26)), { inserted: 26 })
        assert.deepInclude(yield* ingest(log), { ingested: 40, inserted: 14, duplicates: 26 })
        assert.deepInclude(yield* ingest({ events: log }), { inserted: 0, duplicates: 40 })
        assert.lengthOf(yield* eventsOfRun(runId), 40)
      })
  )

  it.effect("stores a timeless event each time it is sent", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      yield* ingest([{ type: "tick", runId }])
      yield* ingest([{ type: "tick", runId }])
      assert.lengthOf(yield* eventsOfRun(runId), 2)
    })
  )

  it.effect("gives positions without holes, in the order of the request", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const { position } = yield* ingest(Array.from({ length: 20 }, (_, n) => ({ type: `t${n}`, runId })))
      const events = yield* eventsOfRun(runId)
      assert.deepEqual(
        events.map(({ type }) => type),
        Array.from({ length: 20 }, (_, n) => `t${n}`)
      )
      const first = events[0]?.seq ?? 0
      assert.deepEqual(
        events.map(({ seq }) => seq),
        Array.from({ length: 20 }, (_, n) => first + n)
      )
      assert.strictEqual(position?.split(".")[1], String(first + 19))
    })
  )

  it.effect("answers parallel reporters of one log with exactly one new event each", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      const log = Array.from({ length: 50 }, (_, n) => ({ type: "step", runId, ts: 1_700_000_000 + n }))
      const answers = yield* Effect.forEach(Array.from({ length: 16 }), () => ingest(log), {
        concurrency: 16
      })
      assert.strictEqual(
        answers.reduce((sum, { inserted }) => sum + inserted, 0),
        50
      )
      assert.lengthOf(yield* eventsOfRun(runId), 50)
    })
  )

  it.effect("keeps member names that mean something to JavaScript as they are", () =>
    Effect.gen(function* () {
      const runId = unique("run")
      yield* ingest(
        `[{"type":"odd","runId":"${runId}","payload":{"__proto__":{"a":1},"constructor":2,"toJSON":3,"a":"\\u0000"}}]`
      )
      const answer = yield* send(`/api/events/history?run_id=${runId}`, { key: true })
      assert.include(answer.text, '"payload":{"__proto__":{"a":1},"constructor":2,"toJSON":3,"a":"\uFFFD"}')
    })
  )

  it.effect("notes when a registered agent was last seen", () =>
    Effect.gen(function* () {
      const [{ aid: a }, { aid: b }, { aid: silent }] = yield* Effect.all([joined(), joined(), joined()])
      yield* ingest([{ type: "seen", aidA: a, aidB: b, ts: 1_700_000_000 }])
      const row = yield* eventually(read<AgentRow>(agentPath(a)), ({ lastSeenAt }) => lastSeenAt !== null)
      assert.closeTo(Date.parse(String(row.lastSeenAt)), Date.now(), 30_000)
      assert.isNotNull((yield* read<AgentRow>(agentPath(b))).lastSeenAt)
      assert.isNull((yield* read<AgentRow>(agentPath(silent))).lastSeenAt)
    })
  )

  it.effect("needs a key", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("/api/events", { body: [] }), "401 INVALID_API_KEY")
    })
  )
})

describe.skipIf(isRemote)("ingest of a service that can be looked into", () => {
  layer(
    ownService({ INGEST_MAX_EVENTS: "3", INGEST_MAX_PAYLOAD_BYTES: "300", INGEST_MAX_BATCH_BYTES: "2000" }),
    {
      timeout: "60 seconds",
      excludeTestServices: true
    }
  )((it) => {
    it.effect("honours configured limits", () =>
      Effect.gen(function* () {
        assert.strictEqual(outcomeOf(yield* postEvents([{}, {}, {}])), "200 ok")
        assertRefused(yield* postEvents([{}, {}, {}, {}]), 413, "PAYLOAD_TOO_LARGE")
        assertRefused(yield* postEvents([{ payload: { x: "y".repeat(300) } }]), 413, "PAYLOAD_TOO_LARGE", {
          eventType: "unknown"
        })
        assertRefused(yield* postEvents(`[]${" ".repeat(2000)}`), 413, "PAYLOAD_TOO_LARGE")
      })
    )

    it.effect(
      "gives reporters with different keys different derived ids, and the same UUID the same event",
      () =>
        Effect.gen(function* () {
          const { apiKey, url } = yield* Service
          const { sql } = yield* Control
          const id = randomUUID()
          const body = [
            { type: "derived", ts: 1 },
            { type: "named", id: "x" },
            { type: "uuid", id }
          ]
          for (const key of [apiKey, OTHER_KEY]) {
            const answer = yield* sendTo({ url, apiKey: key }, "/api/events", { body, key: true })
            assert.strictEqual(answer.status, 200, answer.text)
          }
          const rows = yield* sql<{ type: string; n: number }>`
          select type, count(*)::int as n from audit_events where type in ('derived', 'named', 'uuid') group by type order by type`
          assert.deepEqual(rows, [
            { type: "derived", n: 2 },
            { type: "named", n: 2 },
            { type: "uuid", n: 1 }
          ])
        })
    )

    it.effect("keeps no holes in positions after refusals, duplicates and drops", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        yield* ingest([{ type: "x".repeat(129) }, { type: "a", ts: 5 }, { type: "a", ts: 5 }])
        yield* ingest([{ type: "a", ts: 5 }])
        yield* postEvents([{}, {}, {}, {}])
        yield* ingest([{ type: "b" }])
        const [found] = yield* sql<{ n: number; head: number; ids: number }>`
          select (select count(*) from audit_events)::int as n, (select max(seq) from log_head)::int as head,
            (select count(*) from event_ids)::int as ids`
        assert.strictEqual(found?.n, found?.head)
        assert.strictEqual(found?.n, found?.ids)
      })
    )
  })
})
