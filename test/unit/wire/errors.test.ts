import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { catalogue, entryOf, envelopeOf, isWireError, problemOf } from "../../../src/wire/catalogue.ts"
import * as errors from "../../../src/wire/errors.ts"

const table = `
BODY_INVALID 400, BAD_REQUEST 400, FILTER_INVALID 400, MANIFEST_INVALID 400, MANIFEST_EXPIRED 400, JTI_INVALID 400,
URL_NOT_ALLOWED 400, IDEMPOTENCY_KEY_INVALID 400, CURSOR_INVALID 400, INVALID_API_KEY 401, TOKEN_INVALID 401,
TOKEN_REPLAYED 401, HANDSHAKE_NOT_SUPPORTED 403, NOT_FOUND 404, METHOD_NOT_ALLOWED 405, ALREADY_EXISTS 409,
MANIFEST_STALE 409, AID_FORM_CONFLICT 409, IDEMPOTENCY_IN_PROGRESS 409, AGENT_NOT_ACTIVE 410, CURSOR_EXPIRED 410,
PAYLOAD_TOO_LARGE 413, UNSUPPORTED_ENCODING 415, IDEMPOTENCY_KEY_REUSED 422, RATE_LIMITED 429, INTERNAL 500,
SERVER_MISCONFIGURED 503, SSE_CAPACITY 503, REVOCATION_UNAVAILABLE 503, JWKS_NOT_CACHED 503, UNAVAILABLE 503`

describe("public errors", () => {
  it("are exactly the codes and statuses of the contract", () => {
    const expected = table.trim().split(/,\s+/).toSorted()
    const actual = [...catalogue.values()].map(({ code, status }) => `${code} ${status}`).toSorted()
    assert.deepStrictEqual(actual, expected)
  })

  it("have a body of error and code and nothing else", () => {
    assert.deepStrictEqual(envelopeOf(new errors.NotFound({ error: "no such agent" })), {
      error: "no such agent",
      code: "NOT_FOUND"
    })
  })

  it("carry the extras their code names", () => {
    const error = new errors.AlreadyExists({ existing: { id: "7" } })
    assert.deepStrictEqual(envelopeOf(error), {
      error: "already exists",
      code: "ALREADY_EXISTS",
      existing: { id: "7" }
    })
  })

  it("leave out an optional extra that is not given", () => {
    assert.notProperty(envelopeOf(new errors.PayloadTooLarge({})), "eventType")
    assert.property(envelopeOf(new errors.PayloadTooLarge({ eventType: "x" })), "eventType")
  })

  it("never show a _tag, in the envelope or encoded", () => {
    const error = new errors.RateLimited({ bucket: "public-ip" })
    assert.notProperty(envelopeOf(error), "_tag")
    assert.notProperty(Schema.encodeSync(errors.RateLimited)(error), "_tag")
  })

  it("have default texts under 200 characters", () => {
    assert.isBelow(new errors.Internal({}).error.length, 200)
    for (const { description } of catalogue.values()) assert.isBelow(description.length, 200)
  })

  it("are told from other failures", () => {
    assert.isTrue(isWireError(new errors.NotFound({})))
    assert.isFalse(isWireError({ error: "x", code: "NOT_FOUND" }))
    assert.isFalse(isWireError(new Error("x")))
    assert.isFalse(isWireError(undefined))
  })

  it("name their fixed headers", () => {
    assert.strictEqual(entryOf(new errors.InvalidApiKey({}))?.headers["www-authenticate"], "Bearer")
    assert.strictEqual(entryOf(new errors.Unavailable({}))?.headers["retry-after"], "2")
    assert.strictEqual(entryOf(new errors.SseCapacity({}))?.headers["retry-after"], "30")
    assert.deepStrictEqual(entryOf(new errors.NotFound({}))?.headers, {})
  })

  it("become problems with the members of RFC 9457 beside their own", () => {
    assert.deepStrictEqual(problemOf(new errors.NotFound({}), "https://cp.example", "/api/x"), {
      type: "https://cp.example/errors/NOT_FOUND",
      title: "Not found",
      status: 404,
      detail: "not found",
      instance: "/api/x",
      error: "not found",
      code: "NOT_FOUND"
    })
  })
})
