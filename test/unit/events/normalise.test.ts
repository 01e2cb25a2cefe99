import { assert, describe, it } from "@effect/vitest"
import { deeperThan } from "../../../src/events/depth.ts"
import { normaliseBatch } from "../../../src/events/normalise.ts"
import { mayNeedCleaning } from "../../../src/events/sanitise.ts"

const RECEIVED = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** Reads items as the ingest route does, from the text of a body. */
const batchOf = (text: string, reporter = "key") => {
  let made = 0
  return normaliseBatch(JSON.parse(text), {
    reporter,
    receivedAt: RECEIVED,
    mayBeUnclean: mayNeedCleaning(text),
    newId: () => `new-${made++}`
  })
}

const read = (item: object) => {
  const [event] = batchOf(JSON.stringify([item])).events
  if (event === undefined) throw new Error("the item was dropped")
  return event
}

describe("a reported event", () => {
  it("has defaults for everything", () => {
    const { content: _, contributions: _contributions, ...event } = read({})
    assert.deepEqual(event, {
      id: "new-0",
      type: "unknown",
      ts: RECEIVED,
      aidA: null,
      aidB: null,
      sessionId: null,
      runId: null,
      namespace: null,
      grants: null,
      capability: null,
      payload: "{}",
      artifacts: null,
      source: "playground"
    })
  })

  const spellings: ReadonlyArray<
    readonly [member: "aidA" | "aidB" | "sessionId" | "runId", names: ReadonlyArray<string>]
  > = [
    ["aidA", ["aidA", "aid_a", "initiator"]],
    ["aidB", ["aidB", "aid_b", "target"]],
    ["sessionId", ["sessionId", "session_id"]],
    ["runId", ["runId", "run_id"]]
  ]
  for (const [member, names] of spellings) {
    it(`takes ${member} from the first of ${names.join(", ")} that is non-empty text`, () => {
      for (const [index, name] of names.entries()) {
        const later = Object.fromEntries(names.slice(index).map((each) => [each, each]))
        for (const unusable of ["", null, 7, {}, [], false]) {
          const earlier = Object.fromEntries(names.slice(0, index).map((each) => [each, unusable]))
          assert.strictEqual(read({ ...earlier, ...later })[member], name)
        }
      }
    })
  }

  it("takes the run from the playground last", () => {
    assert.strictEqual(read({ playground: { run_id: "p" } }).runId, "p")
    assert.strictEqual(read({ run_id: "r", playground: { run_id: "p" } }).runId, "r")
    for (const playground of [null, "p", ["p"], { run_id: 7 }, { runId: "p" }])
      assert.isNull(read({ playground }).runId)
  })

  const times: ReadonlyArray<readonly [ts: unknown, ms: number | "receipt"]> = [
    [0, 0],
    [1_700_000_000, 1_700_000_000_000],
    [1_700_000_000.123, 1_700_000_000_123],
    [999_999_999, 999_999_999_000],
    [1e12 - 1, "receipt"],
    [1e12, 1e12],
    [1_700_000_000_123.9, 1_700_000_000_123],
    [253_402_300_799, 253_402_300_799_000],
    [253_402_300_800, "receipt"],
    [253_402_300_800_000, "receipt"],
    [-0.001, "receipt"],
    [-1, "receipt"],
    ["1970-01-01T00:00:00Z", 0],
    ["9999-12-31T23:59:59.999Z", 253_402_300_799_999],
    ["+010000-01-01T00:00:00Z", "receipt"],
    ["1969-12-31T23:59:59.999Z", "receipt"],
    ["2026-01-02T03:04:05+02:00", Date.UTC(2026, 0, 2, 1, 4, 5)],
    ["nonsense", "receipt"],
    ["", "receipt"],
    [null, "receipt"],
    [true, "receipt"],
    [{}, "receipt"]
  ]
  for (const [ts, ms] of times) {
    it(`has ts ${JSON.stringify(ts)} read as ${ms}`, () => {
      const event = read({ type: "t", ts })
      assert.strictEqual(event.ts, ms === "receipt" ? RECEIVED : ms)
      // only a usable time of its own makes an event recognisable without a name
      assert.strictEqual(event.id === "new-0", ms === "receipt")
    })
  }

  it("is its own payload unless it has an object or array for one", () => {
    for (const payload of [{ a: 1 }, {}, [], [1]])
      assert.strictEqual(read({ payload }).payload, JSON.stringify(payload))
    for (const payload of ["x", 7, null, true]) {
      const item = { type: "t", payload, note: "n" }
      assert.strictEqual(read(item).payload, JSON.stringify(item))
    }
  })

  it("has grants only when all of them are text", () => {
    assert.deepEqual(read({ grants: ["a", "b", "a"] }).grants, ["a", "b", "a"])
    assert.deepEqual(read({ grants: [] }).grants, [])
    for (const grants of ["a", ["a", 1], [null], {}, null]) assert.isNull(read({ grants }).grants)
  })

  it("cannot claim a reserved source", () => {
    assert.strictEqual(read({ source: "cp" }).source, "ingest:cp")
    assert.strictEqual(read({ source: "idp" }).source, "ingest:idp")
    for (const source of ["CP", "cp ", "ingest:cp"]) assert.strictEqual(read({ source }).source, source)
  })

  it("takes the namespace from itself, then from its payload", () => {
    assert.strictEqual(read({ namespace: "n", payload: { namespace: "p" } }).namespace, "n")
    assert.strictEqual(read({ payload: { namespace: "p" } }).namespace, "p")
    for (const payload of [["n"], { namespace: 7 }, { namespace: "" }])
      assert.isNull(read({ payload }).namespace)
  })

  it("is measured in code points", () => {
    for (const [field, limit] of Object.entries({
      type: 128,
      source: 128,
      aidA: 512,
      aidB: 512,
      sessionId: 255,
      runId: 255
    })) {
      const batch = batchOf(
        JSON.stringify(
          ["x".repeat(limit), "💡".repeat(limit), "x".repeat(limit + 1), "💡".repeat(limit + 1)].map(
            (text) => ({ [field]: text })
          )
        )
      )
      assert.lengthOf(batch.events, 2, field)
      assert.deepEqual(
        batch.dropped.map((each) => [each.index, each.field]),
        [
          [2, field],
          [3, field]
        ]
      )
    }
  })
})

describe("a batch", () => {
  it("skips what is no object without counting it, and keeps the index of what it drops", () => {
    const { dropped, events } = batchOf(
      JSON.stringify([1, null, [], { type: "a" }, "x", { type: "x".repeat(129) }])
    )
    assert.lengthOf(events, 1)
    assert.deepEqual(
      dropped.map(({ index }) => index),
      [5]
    )
  })

  it("tells identical timed events of one request apart by their count, and others by their content", () => {
    const text = JSON.stringify([
      { ts: 1, a: 1 },
      { a: 1, ts: 1 },
      { ts: 1, a: 2 },
      { ts: 1, a: 1 }
    ])
    const ids = batchOf(text).events.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, 4)
    assert.deepEqual(
      batchOf(text).events.map(({ id }) => id),
      ids
    )
    const prefix = batchOf(JSON.stringify(JSON.parse(text).slice(0, 2))).events.map(({ id }) => id)
    assert.deepEqual(prefix, ids.slice(0, 2))
    assert.notDeepEqual(
      batchOf(text, "other key").events.map(({ id }) => id),
      ids
    )
  })

  it("counts items that were cleaned, and derives their ids from what is left", () => {
    const dirty = batchOf('[{"ts":1,"a":"\\u0000"},{"ts":1,"a":"b"}]')
    assert.strictEqual(dirty.sanitised, 1)
    const clean = batchOf('[{"ts":1,"a":"\\ufffd"}]')
    assert.strictEqual(clean.sanitised, 0)
    assert.strictEqual(dirty.events[0]?.id, clean.events[0]?.id)
  })

  it("drops what nests deeper than 64 and survives any depth", () => {
    const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`
    const text = `[{"payload":${nested(64)}},{"payload":${nested(65)}},{"x":${nested(63)}},{"x":${nested(64)}},{"x":${nested(50_000)}},${nested(50_000)}]`
    const { dropped, events } = batchOf(text)
    assert.lengthOf(events, 2)
    assert.deepEqual(
      dropped.map(({ index }) => index),
      [1, 3, 4]
    )
  })
})

describe("depth", () => {
  it("counts containers within each other", () => {
    assert.isFalse(deeperThan(0, 1))
    assert.isTrue(deeperThan(0, []))
    assert.isFalse(deeperThan(1, [1, "x", null]))
    assert.isTrue(deeperThan(1, [{}]))
    assert.isFalse(deeperThan(2, [{ a: 1 }]))
  })
})
