import { parseUuid } from "../aitp/ids.ts"
import { isMembers } from "./members.ts"
import type { Token, Tokens } from "./tokens.ts"

/**
 * What is stored of compact tokens (contract §7.2): a stand-in for the text, the decoded claims where the reporter left
 * them out, and a list of what was learnt. The text itself is not kept.
 */

/** Tokens listed for one event; there is a stand-in for each, listed or not. */
const MAX_LISTED = 64

const MAX_TYP = 128
const MAX_ISSUER = 512

const isEmptyObject = (value: unknown): boolean => isMembers(value) && Object.keys(value).length === 0

/**
 * A copy of a redacted value in which every object whose `token` is a stand-in, and whose `claims` are missing or `{}`,
 * has the token's claims; the value itself when there is none.
 */
export const withClaims = (value: unknown, tokens: Tokens): unknown => {
  if (Array.isArray(value)) {
    const items = value.map((item) => withClaims(item, tokens))
    return items.every((item, index) => Object.is(item, value[index])) ? value : items
  }
  if (!isMembers(value)) return value
  const claims = tokens.get(value["token"])?.claims
  const lacksClaims = value["claims"] === undefined || isEmptyObject(value["claims"])
  let changed = false
  const members = Object.entries(value).map(([name, member]): [string, unknown] => {
    const complete = withClaims(member, tokens)
    changed ||= !Object.is(complete, member)
    return [name, complete]
  })
  const complete = changed ? Object.fromEntries(members) : value
  return claims !== undefined && lacksClaims ? { ...complete, claims } : complete
}

/** A text of at most so many UTF-16 units, without tokens; null for anything else. */
const shortText = (value: unknown, limit: number): string | null =>
  typeof value === "string" && value.length <= limit ? value : null

const describe = (path: string, token: Token, tokens: Tokens) => ({
  path,
  typ: shortText(tokens.redact(token.typ), MAX_TYP),
  sha256: token.digest,
  jti: typeof token.claims?.["jti"] === "string" ? (parseUuid(token.claims["jti"]) ?? null) : null,
  issuer: shortText(token.claims?.["iss"], MAX_ISSUER),
  signatureVerified: tokens.isVerified(token)
})

const pointer = (path: string, name: string | number): string =>
  `${path}/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`

const locate = (
  path: string,
  value: unknown,
  tokens: Tokens,
  found: Array<ReturnType<typeof describe>>
): void => {
  if (found.length >= MAX_LISTED) return
  if (typeof value === "string") {
    for (const token of tokens.within(value)) found.push(describe(path, token, tokens))
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) locate(pointer(path, name), member, tokens, found)
  }
}

/**
 * JSON text of the tokens that a stored event stands in for, or null when there is none. `path` is a JSON Pointer (RFC
 * 6901) into the event as answers carry it, such as `/payload/tct/token`.
 */
export const artifactsText = (stored: object, tokens: Tokens): string | null => {
  const found: Array<ReturnType<typeof describe>> = []
  locate("", stored, tokens, found)
  return found.length === 0 ? null : JSON.stringify(found.slice(0, MAX_LISTED))
}
