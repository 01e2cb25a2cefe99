import { Result } from "effect"
import { sameKey } from "../aitp/aid.ts"
import { readJson } from "../aitp/json.ts"
import { type RevocationEntry, verifyRevocationSnapshot } from "../aitp/revocation-list.ts"
import { sha256 } from "../aitp/sha256.ts"
import { firstCodePoints } from "../events/members.ts"
import { type FailureKind, MAX_ENTRIES, type SoundList } from "./model.ts"

/** Bytes received as the list of an agent. */
export interface ListCheck {
  readonly body: Uint8Array
  /** AID of the agent whose list it should be, in either spelling. */
  readonly aid: string
  /** Unix seconds. */
  readonly now: number
  /** Also accept a signature over `{"revocation_list": …}`. */
  readonly acceptWrapped: boolean
}

export type Verdict =
  | ({ readonly _tag: "Sound" } & SoundList)
  | { readonly _tag: "Unsound"; readonly kind: FailureKind; readonly reason: string }

/** How far ahead of ours an issuer's clock may be, seconds: the protocol's usual tolerance. */
const CLOCK_SKEW_SECS = 300

/** The last second of the year 9999. */
const LATEST = 253_402_300_799

/** Entries that are recorded in one transaction. */
const CHUNK = 1000

const MAX_REASON = 500

const unsound = (kind: FailureKind, reason: string): Verdict => ({
  _tag: "Unsound",
  kind,
  // Messages may repeat a member's name, and that may be anything.
  reason: reason.replace(/\p{Cc}/gu, " ").toWellFormed()
})

interface Revocation {
  readonly jti: string
  readonly revoked_at: number
  readonly reason: string | null
}

/** Each id once, with its earliest time, in order of the ids. */
const revocationsOf = (entries: ReadonlyArray<RevocationEntry>): ReadonlyArray<Revocation> => {
  const known = new Map<string, Revocation>()
  for (const { jti: spelled, reason, revoked_at } of entries) {
    const jti = spelled.toLowerCase()
    const before = known.get(jti)
    if (before !== undefined && before.revoked_at <= revoked_at) continue
    // The database takes no NUL.
    const text = reason === undefined ? null : firstCodePoints(MAX_REASON, reason.replaceAll("\0", "\uFFFD"))
    known.set(jti, { jti, revoked_at, reason: text })
  }
  return [...known.values()].sort((a, b) => (a.jti < b.jti ? -1 : 1))
}

/**
 * Checks a list as RFC-AITP-0008 has it: structure, signature under the key of its issuer, that this is the agent, that it
 * has not expired. Takes half a second for 100,000 entries.
 */
export const checkList = ({ acceptWrapped, aid, body, now }: ListCheck): Verdict => {
  const read = readJson(body)
  if (Result.isFailure(read)) return unsound("invalid", read.failure.message)
  const verified = verifyRevocationSnapshot(read.success, { acceptWrapped })
  if (Result.isFailure(verified)) {
    const { code, message } = verified.failure
    return unsound(code === "REVOCATION_SNAPSHOT_SIGNATURE_INVALID" ? "signature" : "invalid", message)
  }
  const { form, list } = verified.success
  if (!sameKey(list.issuer, aid)) return unsound("issuer", "the list is another issuer's")
  if (list.entries.length > MAX_ENTRIES) return unsound("invalid", `more than ${MAX_ENTRIES} entries`)
  if (list.published_at > now + CLOCK_SKEW_SECS) return unsound("invalid", "published in the future")
  if (list.expires_at > LATEST) return unsound("invalid", "expires after the year 9999")
  if (list.expires_at <= now) return unsound("expired", "the list has expired")

  const revocations = revocationsOf(list.entries)
  const chunks = Array.from({ length: Math.ceil(revocations.length / CHUNK) }, (_, n) =>
    JSON.stringify(revocations.slice(n * CHUNK, (n + 1) * CHUNK))
  )
  return {
    _tag: "Sound",
    publishedAt: list.published_at,
    expiresAt: list.expires_at,
    entries: revocations.length,
    form,
    sha256: sha256(body),
    entriesSha256: sha256(chunks.join("\n")),
    ids: `{${revocations.map(({ jti }) => jti).join(",")}}`,
    chunks
  }
}
