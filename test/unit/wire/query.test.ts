import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { FilterInvalid } from "../../../src/wire/errors.ts"
import * as Query from "../../../src/wire/query.ts"

const registry = Query.make({ limit: Query.limit({ default: 50, max: 200 }), offset: Query.offset })
const tcts = Query.make({ limit: Query.limit({ default: 100, max: 1000, zero: "default" }) })
const filters = Query.make({
  runId: Query.text(["run_id", "runId"], "Run."),
  since: Query.instant(["since"], "From."),
  parent: Query.uuid(["parent_jti"], "Parent."),
  strict: Query.flag(["strict"], "Strict.")
})
const history = Query.make({ since: Query.instant(["since"], "From.") }, FilterInvalid)

const values = <A, E>(query: Query.Query<A, E>, params: Query.SearchParams): A =>
  Result.getOrThrow(query.read(params))

const failure = <A, E>(query: Query.Query<A, E>, params: Query.SearchParams): E =>
  Result.getOrThrow(Result.flip(query.read(params)))

describe("limit", () => {
  const limits: ReadonlyArray<readonly [sent: string | undefined, registry: number, tcts: number]> = [
    [undefined, 50, 100],
    ["", 50, 100],
    ["10", 10, 10],
    ["10.9", 10, 10],
    [" 7 ", 7, 7],
    ["1e2", 100, 100],
    ["0", 1, 100],
    ["0.5", 1, 100],
    ["-3", 1, 1],
    ["99999", 200, 1000],
    ["abc", 50, 100],
    ["10abc", 50, 100],
    ["0x10", 50, 100],
    ["Infinity", 50, 100],
    ["NaN", 50, 100]
  ]
  for (const [sent, one, byDefault] of limits) {
    it(`reads ${JSON.stringify(sent)} as ${one} where 0 means 1, as ${byDefault} where 0 means the default`, () => {
      assert.strictEqual(values(registry, { limit: sent }).limit, one)
      assert.strictEqual(values(tcts, { limit: sent }).limit, byDefault)
    })
  }

  it("is an integer within its range for every text", () => {
    fc.assert(
      fc.property(fc.string(), (sent) => {
        const { limit } = values(registry, { limit: sent })
        return Number.isInteger(limit) && limit >= 1 && limit <= 200
      })
    )
  })
})

describe("offset", () => {
  for (const [sent, expected] of [
    [undefined, 0],
    ["", 0],
    ["5", 5],
    ["100000", 100_000],
    ["1.5", 0],
    ["-1", 0],
    ["abc", 0],
    ["Infinity", 0]
  ] as const) {
    it(`reads ${JSON.stringify(sent)} as ${expected}`, () => {
      assert.strictEqual(values(registry, { offset: sent }).offset, expected)
    })
  }

  it("refuses more than 100 000 and points to the cursor", () => {
    const error = failure(registry, { offset: "100001" })
    assert.strictEqual(error.code, "BAD_REQUEST")
    assert.include(error.error, "cursor")
  })
})

describe("filters", () => {
  it("take both spellings", () => {
    assert.strictEqual(values(filters, { run_id: "a" }).runId, "a")
    assert.strictEqual(values(filters, { runId: "b" }).runId, "b")
  })

  it("let snake_case win when both are given", () => {
    assert.strictEqual(values(filters, { runId: "b", run_id: "a" }).runId, "a")
  })

  it("take an empty value for none, also of the winning spelling", () => {
    assert.isUndefined(values(filters, { run_id: "" }).runId)
    assert.strictEqual(values(filters, { run_id: "", runId: "b" }).runId, "b")
  })

  it("use the first of repeated values", () => {
    assert.strictEqual(values(filters, { run_id: ["a", "b"] }).runId, "a")
  })

  it("ignore unknown parameters", () => {
    assert.deepStrictEqual(Object.keys(values(filters, { other: "x" })), [
      "runId",
      "since",
      "parent",
      "strict"
    ])
  })

  it("refuse NUL in text with BAD_REQUEST, and take other control characters", () => {
    assert.strictEqual(failure(filters, { run_id: "a\0b" }).code, "BAD_REQUEST")
    assert.strictEqual(values(filters, { run_id: "a\u0001b" }).runId, "a\u0001b")
  })

  it("fail with the code the query names", () => {
    assert.strictEqual(failure(history, { since: "yesterday" }).code, "FILTER_INVALID")
    assert.strictEqual(failure(filters, { since: "yesterday" }).code, "BAD_REQUEST")
  })

  it("read every time a Date parses", () => {
    for (const sent of ["2026-01-02", "2026-01-02T03:04:05.678Z", "Fri, 02 Jan 2026 03:04:05 GMT"]) {
      assert.strictEqual(values(filters, { since: sent }).since?.getTime(), Date.parse(sent))
    }
  })

  it("cut times the database cannot read to the years 1 to 9999", () => {
    assert.strictEqual(values(filters, { since: "+275760-09-13" }).since?.getUTCFullYear(), 9999)
    assert.isAtLeast(values(filters, { since: "-271821-04-20" }).since?.getUTCFullYear() ?? 0, 1)
  })

  it("compare UUIDs in lower case and refuse what is none", () => {
    const id = "0190B6C8-7E2A-7ABC-8DEF-0123456789AB"
    assert.strictEqual(values(filters, { parent_jti: id }).parent, id.toLowerCase())
    assert.strictEqual(failure(filters, { parent_jti: "x" }).code, "BAD_REQUEST")
    assert.strictEqual(
      failure(filters, { parent_jti: "00000000-0000-0000-0000-000000000000" }).code,
      "BAD_REQUEST"
    )
  })

  it("are true for the exact text true only", () => {
    assert.isTrue(values(filters, { strict: "true" }).strict)
    for (const sent of ["TRUE", "1", "yes", ""]) assert.isFalse(values(filters, { strict: sent }).strict)
  })

  it("never throw, whatever is sent", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.array(fc.string()))), (params) => {
        for (const query of [registry, tcts, filters, history]) query.read(params)
      })
    )
  })
})
