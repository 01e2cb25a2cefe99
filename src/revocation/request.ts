import { Result } from "effect"
import { parseAid } from "../aitp/aid.ts"
import { parseUuid } from "../aitp/ids.ts"
import { codePointsExceed, isMembers, type Members } from "../events/members.ts"
import * as JsonText from "../http/JsonText.ts"
import { BodyInvalid, JtiInvalid } from "../wire/errors.ts"
import type { Revocation } from "./model.ts"

/** Longest reason, in code points. */
const MAX_REASON = 500

const YEAR_10000 = Date.parse("9999-12-31T23:59:59.999Z") + 1

const refuse = (error: string) => Result.fail(new BodyInvalid({ error }))

/** The JSON object of a request, without NUL and lone surrogates. */
export const readRequest = (received: Buffer): Result.Result<Members, BodyInvalid> => {
  const parsed = JsonText.parse(received, JsonText.DEFAULT_DEPTH)
  if ("refusal" in parsed) return refuse(`request body ${parsed.refusal}`)
  if (JsonText.hasNul(parsed.text, parsed.value)) return refuse("request body must not contain NUL")
  const body = JsonText.wellFormed(parsed.text, parsed.value)
  return isMembers(body) ? Result.succeed(body) : refuse("request body must be a JSON object")
}

/** `now` unless a text names an earlier time; undefined for a text that names none from 1970 to 9999. */
const timeOf = (value: unknown, now: number): number | undefined => {
  if (typeof value !== "string") return now
  const ms = Date.parse(value)
  return ms >= 0 && ms < YEAR_10000 ? Math.min(ms, now) : undefined
}

/**
 * What the body of a request asks for.
 * @param now ms since 1970
 */
export const revocationOf = (
  body: Members,
  now: number
): Result.Result<Revocation, BodyInvalid | JtiInvalid> => {
  const jti = typeof body["jti"] === "string" ? parseUuid(body["jti"]) : undefined
  if (jti === undefined) return Result.fail(new JtiInvalid({}))
  const reason = body["reason"] ?? null
  if (reason !== null && (typeof reason !== "string" || codePointsExceed(MAX_REASON, reason))) {
    return refuse(`reason must be text of at most ${MAX_REASON} characters`)
  }
  const revokedAt = timeOf(body["revokedAt"], now)
  if (revokedAt === undefined) return refuse("revokedAt must be a time from 1970 to 9999")
  const named = body["issuer"] ?? undefined
  const issuer = typeof named === "string" ? parseAid(named) : undefined
  if (named !== undefined && issuer === undefined) return refuse("issuer must be an AID")
  return Result.succeed({ jti, reason, issuer, revokedAt: new Date(revokedAt) })
}
