import { assert } from "@effect/vitest"
import type { Answer } from "./client.ts"

/** What a refusal may carry beside `error` and `code` (contract §1.4). */
const extras: Readonly<Record<string, ReadonlyArray<string>>> = {
  MANIFEST_INVALID: ["verifyCode", "protocolCode"],
  MANIFEST_EXPIRED: ["verifyCode", "protocolCode"],
  AID_FORM_CONFLICT: ["existing"],
  ALREADY_EXISTS: ["existing"],
  AGENT_NOT_ACTIVE: ["status"],
  CURSOR_EXPIRED: ["earliest"],
  PAYLOAD_TOO_LARGE: ["eventType"],
  RATE_LIMITED: ["bucket"],
  JWKS_NOT_CACHED: ["issuerUrl"]
}

/** Asserts that an answer is a refusal in exactly the public form. */
export const assertEnvelope = (answer: Answer, context = ""): void => {
  const where = `${context} ${answer.status} ${answer.text.slice(0, 300)}`
  assert.strictEqual(answer.headers["content-type"], "application/json", where)
  assert.strictEqual(answer.headers["cache-control"], "no-store", where)
  const { code, error, ...more } = answer.json()
  assert.isString(code, where)
  assert.match(String(code), /^[A-Z_]+$/, where)
  assert.isString(error, where)
  assert.isAbove(String(error).length, 0, where)
  assert.isBelow(String(error).length, 200, where)
  assert.notMatch(String(error), /node_modules|\.ts\b|select |SqlError|Effect/, where)
  assert.deepEqual(
    Object.keys(more).filter((name) => extras[String(code)]?.includes(name) !== true),
    [],
    where
  )
}

/** Asserts that an answer is this refusal, with these members beside `error` and `code` and no others. */
export const assertRefused = (
  answer: Answer,
  status: number,
  code: string,
  members: Readonly<Record<string, unknown>> = {}
): void => {
  assertEnvelope(answer)
  assert.strictEqual(answer.status, status, answer.text)
  const { error: _, ...rest } = answer.json()
  assert.deepEqual(rest, { code, ...members })
}
