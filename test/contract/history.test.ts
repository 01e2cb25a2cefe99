import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { type Answer, outcome, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { type EventPage, ingest } from "../support/service/events.ts"
import { anyService } from "../support/service/Service.ts"

const HISTORY = "/api/events/history"

const history = (query: Readonly<Record<string, string>>) =>
  read<EventPage>(`${HISTORY}?${new URLSearchParams(query).toString()}`)

const typesOf = ({ events }: EventPage) => events.map(({ type }) => type)

const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000).toISOString()

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("history", (it) => {
  it.effect("leaves published lists out unless their type is asked for", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      const type = "revocation.list_published"
      yield* ingest([
        { type, runId: run_id, ts: at(1) },
        { type: "seen", runId: run_id, ts: at(0) }
      ])
      assert.deepEqual(typesOf(yield* history({ run_id })), ["seen"])
      assert.deepEqual(typesOf(yield* history({ run_id, type })), [type])
    })
  )

  it.effect("finds by every filter in every spelling, and nothing else", () =>
    Effect.gen(function* () {
      const own = unique("it")
      const other = unique("other")
      const event = (name: string) => ({
        type: `type.${name}`,
        aidA: `a.${name}`,
        aidB: `b.${name}`,
        sessionId: `s.${name}`,
        runId: `r.${name}`,
        namespace: `n.${name}`,
        source: `src.${name}`,
        ts: at(0)
      })
      yield* ingest([event(own), event(other)])
      const queries = [
        { type: `type.${own}` },
        { aid: `a.${own}` },
        { aid: `b.${own}` },
        { session_id: `s.${own}` },
        { sessionId: `s.${own}` },
        { run_id: `r.${own}` },
        { runId: `r.${own}` },
        { namespace: `n.${own}` },
        { source: `src.${own}` },
        { run_id: `r.${own}`, runId: "ignored" },
        { session_id: "", sessionId: `s.${own}` },
        {
          type: `type.${own}`,
          aid: `b.${own}`,
          run_id: `r.${own}`,
          since: at(0),
          until: at(0),
          colour: "red"
        }
      ]
      for (const query of queries) {
        assert.deepEqual(typesOf(yield* history(query)), [`type.${own}`], JSON.stringify(query))
      }
      assert.deepEqual(typesOf(yield* history({ type: `type.${own}`, aid: `a.${other}` })), [])
      assert.deepEqual(typesOf(yield* history({ type: `TYPE.${own}` })), [])
      assert.deepEqual(typesOf(yield* history({ session_id: "ignored", sessionId: `s.${own}` })), [])
    })
  )

  it.effect("shows an event once whose parties are the same", () =>
    Effect.gen(function* () {
      const aid = unique("both")
      yield* ingest([
        { type: "self", aidA: aid, aidB: aid },
        { type: "left", aidA: aid },
        { type: "right", aidB: aid }
      ])
      assert.deepEqual(typesOf(yield* history({ aid })).toSorted(), ["left", "right", "self"])
    })
  )

  it.effect("finds handshake.completed under both of its names and keeps the sent one", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      yield* ingest([
        { type: "handshake.completed", runId: run_id },
        { type: "handshake.complete", runId: run_id },
        { type: "handshake.completely", runId: run_id }
      ])
      for (const type of ["handshake.complete", "handshake.completed"]) {
        assert.deepEqual(typesOf(yield* history({ run_id, type })).toSorted(), [
          "handshake.complete",
          "handshake.completed"
        ])
      }
    })
  )

  it.effect("takes since and until inclusively, in any spelling of a time", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      yield* ingest([1, 2, 3].map((n) => ({ type: `t${n}`, runId: run_id, ts: at(n) })))
      const of = (query: Record<string, string>) => Effect.map(history({ run_id, ...query }), typesOf)
      assert.deepEqual(yield* of({ since: at(2) }), ["t3", "t2"])
      assert.deepEqual(yield* of({ until: at(2) }), ["t2", "t1"])
      assert.deepEqual(yield* of({ since: at(2), until: at(2) }), ["t2"])
      assert.deepEqual(yield* of({ since: at(3), until: at(1) }), [])
      assert.deepEqual(yield* of({ since: new Date(1_700_000_002_000).toUTCString() }), ["t3", "t2"])
      assert.deepEqual(yield* of({ since: "2023" }), ["t3", "t2", "t1"])
      assert.deepEqual(yield* of({ since: "", until: "" }), ["t3", "t2", "t1"])
      for (const since of ["-271821-04-20", "-000001-01-01T00:00:00Z", "0000-01-01"]) {
        assert.deepEqual(yield* of({ since }), ["t3", "t2", "t1"], since)
      }
      for (const until of ["+275760-09-13", "+010000-01-01T00:00:00Z"]) {
        assert.deepEqual(yield* of({ until }), ["t3", "t2", "t1"], until)
      }
    })
  )

  it.effect("refuses what is no time and NUL in any filter with FILTER_INVALID", () =>
    Effect.gen(function* () {
      for (const query of ["since=yesterday", "until=x", "since=2026-13-45", "until=%00"]) {
        assertRefused(yield* send(`${HISTORY}?${query}`, { key: true }), 400, "FILTER_INVALID")
      }
      for (const name of [
        "type",
        "aid",
        "session_id",
        "sessionId",
        "run_id",
        "runId",
        "namespace",
        "source"
      ]) {
        assertRefused(yield* send(`${HISTORY}?${name}=a%00b`, { key: true }), 400, "FILTER_INVALID")
      }
    })
  )

  it.effect("orders by time, newest first, ties by position, and backwards with order=asc", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      yield* ingest([
        { type: "late", runId: run_id, ts: at(9) },
        { type: "tie-1", runId: run_id, ts: at(5) },
        { type: "early", runId: run_id, ts: at(1) },
        { type: "tie-2", runId: run_id, ts: at(5) }
      ])
      const newestFirst = ["late", "tie-2", "tie-1", "early"]
      assert.deepEqual(typesOf(yield* history({ run_id })), newestFirst)
      assert.deepEqual(typesOf(yield* history({ run_id, order: "asc" })), newestFirst.toReversed())
      for (const order of ["desc", "ASC", "x", ""])
        assert.deepEqual(typesOf(yield* history({ run_id, order })), newestFirst)
      assert.deepEqual(typesOf(yield* history({ run_id, limit: "2", offset: "1" })), ["tie-2", "tie-1"])
    })
  )

  it.effect("clamps the limit to 1…1000 and takes 100 by default", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      for (let batch = 0; batch < 3; batch += 1) {
        yield* ingest(
          Array.from({ length: 400 }, (_, n) => ({ type: "n", runId: run_id, ts: 1_700_000_000 + n, batch }))
        )
      }
      for (const [limit, count] of [
        ["", 100],
        ["x", 100],
        ["0", 1],
        ["-3", 1],
        ["7.9", 7],
        ["1000", 1000],
        ["5000", 1000]
      ] as const) {
        const page = yield* history({ run_id, limit })
        assert.strictEqual(page.count, count, `limit=${limit}`)
        assert.lengthOf(page.events, count)
        assert.isString(page.nextCursor)
      }
    })
  )

  for (const order of ["desc", "asc"]) {
    it.effect(`walks all pages ${order} without skipping or repeating while events are added`, () =>
      Effect.gen(function* () {
        const run_id = unique("run")
        const some = (count: number) =>
          ingest(
            Array.from({ length: count }, () => ({
              type: "n",
              runId: run_id,
              ts: at(Math.floor(Math.random() * 5)),
              n: randomUUID()
            }))
          )
        yield* some(25)
        const before = (yield* history({ run_id, limit: "1000" })).events.map(({ id }) => id)
        const seen: Array<string> = []
        let path: string | undefined = `${HISTORY}?run_id=${run_id}&order=${order}&limit=4`
        while (path !== undefined) {
          const answer: Answer = yield* send(path, { key: true })
          const page = answer.json<EventPage>()
          seen.push(...page.events.map(({ id }) => id))
          if (seen.length < 12) yield* some(3)
          const link: unknown = answer.headers["link"]
          assert.strictEqual(link === undefined, page.nextCursor === null)
          path = link === undefined ? undefined : /^<([^>]+)>; rel="next"$/.exec(String(link))?.[1]
        }
        assert.strictEqual(new Set(seen).size, seen.length, "an event was repeated")
        assert.includeMembers(seen, before, "an event was skipped")
      })
    )
  }

  it.effect("walks by an either-party filter without skipping or repeating", () =>
    Effect.gen(function* () {
      const aid = unique("party")
      const events = Array.from({ length: 23 }, (_, n) => ({
        type: "n",
        ts: at(n % 3),
        n,
        ...(n % 2 === 0 ? { aidA: aid } : { aidA: "x", aidB: aid })
      }))
      yield* ingest(events)
      const seen: Array<number> = []
      for (let cursor: string | null = ""; cursor !== null;) {
        const page: EventPage = yield* history({ aid, limit: "4", cursor })
        seen.push(...page.events.map(({ seq }) => seq))
        cursor = page.nextCursor
      }
      assert.lengthOf(seen, 23)
      assert.strictEqual(new Set(seen).size, 23)
    })
  )

  it.effect("refuses the cursor of another filter, order or route", () =>
    Effect.gen(function* () {
      const run_id = unique("run")
      yield* ingest([
        { type: "a", runId: run_id },
        { type: "b", runId: run_id }
      ])
      const cursor = String((yield* history({ run_id, limit: "1" })).nextCursor)
      assert.strictEqual((yield* history({ runId: run_id, limit: "9", cursor })).count, 1)
      for (const query of [
        "",
        `run_id=${run_id}&order=asc`,
        "run_id=other",
        `run_id=${run_id}&type=a`,
        `run_id=${run_id}&since=2020`
      ]) {
        assertRefused(
          yield* send(`${HISTORY}?${query}&cursor=${cursor}`, { key: true }),
          400,
          "CURSOR_INVALID"
        )
      }
    })
  )
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("one event", (it) => {
  it.effect("is 404 for an unknown id and for what is no UUID", () =>
    Effect.gen(function* () {
      for (const id of [
        randomUUID(),
        "x",
        "1",
        "undefined",
        "00000000-0000-0000-0000-000000000000",
        "%27",
        "a%2Fb"
      ]) {
        assertRefused(yield* send(`/api/events/${id}`, { key: true }), 404, "NOT_FOUND")
      }
    })
  )

  it.effect("needs a key, and so does history", () =>
    Effect.gen(function* () {
      const id = randomUUID()
      yield* ingest([{ id, type: "a" }])
      assert.strictEqual(yield* outcome(`/api/events/${id}`), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(`/api/events/${id}`, { key: true }), "200 ok")
      assert.strictEqual(yield* outcome(HISTORY), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(`${HISTORY}?since=x`), "401 INVALID_API_KEY")
    })
  )
})
