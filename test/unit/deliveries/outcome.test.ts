import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { keptResponse, outcomeOf } from "../../../src/deliveries/outcome.ts"
import { RequestFailed, TargetRefused } from "../../../src/egress/model.ts"

const answer = (status: number, body: string | Uint8Array = "", headers: Record<string, string> = {}) =>
  outcomeOf(
    Result.succeed({
      status,
      headers: new Map(Object.entries(headers)),
      body: typeof body === "string" ? Buffer.from(body) : body,
      truncated: false,
      durationMs: 5
    }),
    [],
    0
  )

const failure = (error: RequestFailed | TargetRefused) => outcomeOf(Result.fail(error), [], 0)

describe("what came of an attempt", () => {
  it("is delivered for every 2xx, whatever the body", () => {
    for (const status of [200, 201, 202, 204, 299]) {
      assert.deepInclude(answer(status, "not json"), {
        ending: "delivered",
        statusCode: status,
        error: null,
        response: "not json",
        verdict: "up"
      })
    }
  })

  it("is delivered when the headers said so and the body never ended", () => {
    const broken = (status: number) =>
      failure(new RequestFailed({ phase: "body", reason: "connection reset", status }))
    assert.deepInclude(broken(200), { ending: "delivered", statusCode: 200, error: null, response: null })
    assert.deepInclude(broken(500), { ending: "rejected", error: "non-2xx (500): ", verdict: "down" })
  })

  it("is a failure for any other status, redirects too, with the beginning of the answer", () => {
    for (const status of [301, 302, 307, 400, 404, 500]) {
      assert.deepInclude(answer(status, "no"), {
        ending: "rejected",
        statusCode: status,
        error: `non-2xx (${status}): no`,
        verdict: "down",
        final: false,
        gone: false
      })
    }
    assert.strictEqual(answer(500, "😀".repeat(300)).error, `non-2xx (500): ${"😀".repeat(200)}`)
  })

  it("spares an endpoint that is busy, and heeds when it wants to be asked again", () => {
    for (const status of [429, 502, 504]) assert.strictEqual(answer(status).verdict, "busy")
    assert.strictEqual(answer(503, "", { "retry-after": "9" }).retryAfterMs, 9000)
    assert.isUndefined(answer(503, "", { "retry-after": "9000" }).retryAfterMs)
  })

  it("ends the delivery and the subscription with 410", () => {
    assert.deepInclude(answer(410, "bye"), { final: true, gone: true, error: "non-2xx (410): bye" })
  })

  it("ends the delivery when the target is refused, which says nothing about the endpoint", () => {
    assert.deepInclude(failure(new TargetRefused({ rule: "address", reason: "not public" })), {
      ending: "refused",
      statusCode: null,
      error: "unsafe target: not public",
      verdict: "none",
      final: true
    })
  })

  it("is the transport's error when no answer came", () => {
    assert.deepInclude(failure(new RequestFailed({ phase: "connect", reason: "connection refused" })), {
      ending: "unanswered",
      statusCode: null,
      error: "connection refused",
      response: null,
      verdict: "down",
      final: false
    })
  })
})

describe("a kept response", () => {
  it("is text that the database takes, at most 4 KiB of it", () => {
    assert.strictEqual(keptResponse(Buffer.from("a\0b"), []), "a\uFFFDb")
    assert.strictEqual(keptResponse(Uint8Array.of(0x61, 0xff, 0x62), []), "a\uFFFDb")
    for (const bytes of [Buffer.alloc(4096, 0xff), Buffer.from("€".repeat(1366)).subarray(0, 4096)]) {
      const kept = keptResponse(bytes, [])
      assert.isAtMost(Buffer.byteLength(kept), 4096)
      assert.isAtLeast(Buffer.byteLength(kept), 4090)
    }
  })

  it("leaves out a character that was cut in two", () => {
    assert.strictEqual(keptResponse(Buffer.from("a€").subarray(0, 3), []), "a")
  })

  it("does not show the secrets of the subscription", () => {
    const secret = Redacted.make("whsec_abcdefgh")
    assert.strictEqual(
      keptResponse(Buffer.from('{"secret":"whsec_abcdefgh","again":"whsec_abcdefgh"}'), [secret]),
      '{"secret":"[secret]","again":"[secret]"}'
    )
    assert.strictEqual(keptResponse(Buffer.from("banana"), [Redacted.make("an")]), "banana")
  })
})
