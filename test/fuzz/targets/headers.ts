import { Redacted, Result } from "effect"
import * as ApiKeys from "../../../src/http/ApiKeys.ts"
import { negotiate } from "../../../src/http/Compression.ts"
import { matches } from "../../../src/http/Document.ts"
import { requestId } from "../../../src/http/RequestId.ts"
import { isDecodable, pathOf, withLiteralPath } from "../../../src/http/Target.ts"
import { readKey } from "../../../src/idempotency/key.ts"
import { mintToken, readToken } from "../../../src/registry/enrollment-token.ts"
import { assertThat, type Target } from "../target.ts"

const NOW = 1_711_900_000
const secret = Redacted.make("a secret of the registry")
const token = mintToken(secret, {
  sub: "aid:pubkey:x",
  scope: "register",
  iat: NOW,
  exp: NOW + 300,
  jti: "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab",
  mh: "A".repeat(43)
})
const API_KEY = "an-api-key"
const keys = ApiKeys.make([Redacted.make(API_KEY)], true)

const VISIBLE = /^[\x21-\x7e]{1,200}$/

const checkPath = (input: string): void => {
  const path = pathOf(input)
  const literal = withLiteralPath(input)
  assertThat(!/[;#]/.test(pathOf(literal)), "nothing ends a path but a question mark")
  if (isDecodable(path)) assertThat(!decodeURIComponent(path).includes("\0"), "no path holds NUL")
}

/** What travels in the head of a request: ids, keys, tokens, codings, tags and the target. */
export const headers: Target = {
  name: "headers",
  seeds: [
    token,
    `Bearer ${API_KEY}`,
    '"abc\\"d"',
    "key-1",
    'W/"tag", "tag-br", *',
    "br;q=0.5, gzip;q=1, *;q=0",
    "/api/agents/%2e%2e;x=1?y#z",
    "cp-abc-12345678"
  ],
  dictionary: ["Bearer ", "bearer", '"', "\\", ";q=", "%2F", "%00", "%", "?", "#", ".", API_KEY],
  run: (input) => {
    checkPath(input)
    const id = requestId(input, NOW)
    assertThat(VISIBLE.test(id) && (id === input || !VISIBLE.test(input)), "a request id is visible text")
    const key = readKey(input)
    if (Result.isSuccess(key))
      assertThat(
        key.success !== "" && key.success.length <= 255 && !/[\0\r\n]/.test(key.success),
        "a key is one line"
      )
    const claims = readToken(secret, input, NOW)
    assertThat(claims === undefined || input === token, "no token is taken but the minted one")
    const admitted = keys.admitUnknown(input)
    const isAdmitted = "actorId" in admitted
    assertThat(!isAdmitted || ApiKeys.keyOf(input) === API_KEY, "no key opens but the configured one")
    return `${Result.isSuccess(key)} ${claims !== undefined} ${isAdmitted} ${negotiate(input)} ${matches(input, '"tag"')}`
  }
}
