import { createHmac, timingSafeEqual } from "node:crypto"
import { Redacted, Schema } from "effect"
import { decodeBase64url, encodeBase64url } from "../aitp/base64url.ts"
import { parseUuid } from "../aitp/ids.ts"

/** Seconds an enrollment token lives. */
export const TOKEN_TTL_SECS = 300

/** What an enrollment token says; opaque to clients. */
const Claims = Schema.Struct({
  /** AID that may register. */
  sub: Schema.String,
  scope: Schema.Literal("register"),
  /** Unix seconds. */
  iat: Schema.Int,
  /** Unix seconds; valid while this is in the future. */
  exp: Schema.Int,
  /** UUID; spent by the registration that succeeds. */
  jti: Schema.String,
  /** base64url SHA-256 of the canonical manifest with its signature: no other manifest may be registered with it. */
  mh: Schema.String
})
export type EnrollmentClaims = typeof Claims.Type

const isClaims = Schema.is(Claims)

const macOf = (secret: Redacted.Redacted<string>, payload: string) =>
  createHmac("sha256", Redacted.value(secret)).update(payload).digest()

/** `base64url(JSON).base64url(HMAC-SHA-256 of the first segment)`. */
export const mintToken = (secret: Redacted.Redacted<string>, claims: EnrollmentClaims): string => {
  const payload = encodeBase64url(Buffer.from(JSON.stringify(claims)))
  return `${payload}.${encodeBase64url(macOf(secret, payload))}`
}

const parseClaims = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    return undefined
  }
}

/**
 * The claims of a token that this service minted and that has not expired; `undefined` for anything else.
 * @param now Unix seconds
 */
export const readToken = (
  secret: Redacted.Redacted<string>,
  token: string,
  now: number
): EnrollmentClaims | undefined => {
  const [payload, mac, ...rest] = token.split(".")
  if (payload === undefined || mac === undefined || rest.length > 0) return undefined
  const given = decodeBase64url(mac)
  const expected = macOf(secret, payload)
  if (given === undefined || given.length !== expected.length || !timingSafeEqual(given, expected))
    return undefined
  const bytes = decodeBase64url(payload)
  const claims = bytes === undefined ? undefined : parseClaims(bytes)
  return isClaims(claims) && claims.exp > now && parseUuid(claims.jti) !== undefined ? claims : undefined
}
