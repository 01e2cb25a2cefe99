import { isMembers, type Members } from "./members.ts"
import type { Token, Tokens } from "./tokens.ts"

/** A reported TCT or delegation: what it claims, and the token that should prove it. */
export interface Artifact {
  readonly claims: Members
  readonly token: Token | undefined
}

/** An event as the projections read it: normalised, and with stand-ins for its tokens. */
export interface ReportedEvent {
  /** Canonical type. */
  readonly type: string
  /** ms since 1970. */
  readonly ts: number
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  readonly namespace: string | null
  readonly grants: ReadonlyArray<string> | null
  /** The reported object itself. */
  readonly item: Members
  /** Its payload; of a flat event the object itself. Without members when it is an array. */
  readonly payload: Members
  readonly tokens: Tokens
}

const nonEmpty = (value: unknown): Members | undefined =>
  isMembers(value) && Object.keys(value).length > 0 ? value : undefined

/**
 * Reads an artifact in any accepted form: a wrapper `{token, claims}`, either of them missing; a flat object; the
 * stand-in of a bare token. Undefined for anything else, `{}` included.
 */
export const readArtifact = (value: unknown, tokens: Tokens): Artifact | undefined => {
  const bare = tokens.get(value)
  if (bare !== undefined) return { claims: bare.claims ?? {}, token: bare }
  const object = nonEmpty(value)
  if (object === undefined) return undefined
  const token = tokens.get(object["token"])
  return { claims: nonEmpty(object["claims"]) ?? token?.claims ?? object, token }
}

/**
 * Whether a token's signature covers what is shown: true only when it verifies, the token is of that type, and nothing
 * shown is missing from its claims or differs. Null when there was no token or it was not checked.
 * @param shown what the projection shows, by name; null is nothing
 * @param signed the same as the token alone would give it; undefined when that is nothing
 */
export const isCovered = (
  token: Token | undefined,
  tokens: Tokens,
  typ: string,
  shown: Members,
  signed: Members | undefined
): boolean | null => {
  const verified = token === undefined ? null : tokens.isVerified(token)
  if (verified !== true) return verified
  return (
    token?.typ === typ &&
    signed !== undefined &&
    Object.entries(shown).every(
      ([name, value]) => value === null || JSON.stringify(signed[name]) === JSON.stringify(value)
    )
  )
}
