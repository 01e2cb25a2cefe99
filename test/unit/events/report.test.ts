import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readReport } from "../../../src/events/report.ts"

const limits = { maxEvents: 3, maxPayloadBytes: 100 }

/** Read as a body of so many bytes; larger than a payload may be, so that payloads are measured. */
const read = (body: unknown, bytes = 1000) => readReport(body, bytes, limits)

const itemsOf = (body: unknown) => Result.getOrThrow(read(body))

const codeOf = (result: ReturnType<typeof read>) => (Result.isFailure(result) ? result.failure.code : "ok")

describe("a report", () => {
  it("is an array or an object's events", () => {
    const items = [{ type: "a" }, 1, null]
    assert.deepEqual(itemsOf(items), items)
    assert.deepEqual(itemsOf({ events: items, other: [{}] }), items)
  })

  it("is empty for every other JSON value", () => {
    for (const body of [null, 1, "x", true, {}, { events: null }, { events: [] }, { Events: [{}] }, []]) {
      assert.deepEqual(itemsOf(body), [], JSON.stringify(body))
    }
  })

  it("is refused when events is neither null nor an array", () => {
    for (const events of [{}, "x", 0, false, ""]) assert.strictEqual(codeOf(read({ events })), "BODY_INVALID")
  })

  it("is refused whole above the number of items", () => {
    assert.strictEqual(codeOf(read([{}, {}, {}])), "ok")
    assert.strictEqual(codeOf(read([{}, {}, {}, {}])), "PAYLOAD_TOO_LARGE")
    assert.strictEqual(codeOf(read([1, 2, 3, 4])), "PAYLOAD_TOO_LARGE")
  })

  it("is refused whole, naming the type, when one payload is too large in UTF-8 bytes", () => {
    const payload = (bytes: number) => ({ x: "y".repeat(bytes - JSON.stringify({ x: "" }).length) })
    assert.strictEqual(codeOf(read([{ type: "t", payload: payload(100) }])), "ok")
    const refused = read([{ type: "small" }, { type: "t", payload: payload(101) }])
    assert.isTrue(Result.isFailure(refused))
    if (Result.isFailure(refused))
      assert.deepInclude(refused.failure, { code: "PAYLOAD_TOO_LARGE", eventType: "t" })
    assert.strictEqual(codeOf(read([{ payload: { x: "é".repeat(50) } }])), "PAYLOAD_TOO_LARGE")
  })

  it("measures the whole item where there is no payload object", () => {
    assert.strictEqual(codeOf(read([{ type: "t", note: "x".repeat(100) }])), "PAYLOAD_TOO_LARGE")
    assert.strictEqual(codeOf(read([{ type: "t", payload: "x".repeat(100) }])), "PAYLOAD_TOO_LARGE")
    assert.strictEqual(codeOf(read([{ type: "t", note: "x".repeat(100), payload: {} }])), "ok")
    assert.strictEqual(codeOf(read([{ payload: Array.from({ length: 60 }, () => 1) }])), "PAYLOAD_TOO_LARGE")
  })

  it("names an unusable type `unknown` and cuts a long one", () => {
    const typeOf = (type: unknown) => {
      const refused = read([{ type, payload: { x: "y".repeat(200) } }])
      return Result.isFailure(refused) && refused.failure.code === "PAYLOAD_TOO_LARGE"
        ? refused.failure.eventType
        : undefined
    }
    for (const type of [undefined, "", 7, {}, null]) assert.strictEqual(typeOf(type), "unknown")
    assert.strictEqual(typeOf("t".repeat(500))?.length, 128)
  })

  it("leaves items that nest too deeply to be measured to be dropped one by one", () => {
    let deep: unknown = 1
    for (let level = 0; level < 50_000; level += 1) deep = [deep]
    assert.strictEqual(codeOf(read([{ type: "t", payload: deep }])), "ok")
    assert.strictEqual(codeOf(read([{ type: "t", note: deep }])), "ok")
    assert.strictEqual(codeOf(read([deep])), "ok")
  })
})
