// Revocation snapshot (RFC-AITP-0008 §1.5): what an issuer says about its own TCTs. Times are Unix seconds throughout.

import { Data, Result, Schema } from "effect"
import { Aid, keyOfAid, sameKey } from "./aid.ts"
import { Extensions, PositiveSeconds, Seconds, SignatureText, Version } from "./fields.ts"
import { canonicalDigest, canonicalJson } from "./jcs.ts"
import { isJsonObject, type JsonObject } from "./json.ts"
import { signDigest, verifyDigest, type VerifyOptions } from "./signature.ts"
import type { Signer } from "./signer.ts"
import { structureReader } from "./structure.ts"

/** One revoked TCT. */
export const RevocationEntry = Schema.Struct({
  /** The schema only asks for a UUID, of any version and case. */
  jti: Schema.String.check(
    Schema.isPattern(/^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/u, { expected: "a UUID" })
  ),
  revoked_at: Seconds,
  /** For people; never a decision input. */
  reason: Schema.optionalKey(Schema.String)
})
export type RevocationEntry = typeof RevocationEntry.Type

/** The signed body. An empty list is a statement too: that nothing is revoked. */
export const RevocationList = Schema.Struct({
  version: Version,
  /** Equals the `iss` of every TCT listed. */
  issuer: Aid,
  /** The only ordering between two snapshots of one issuer. */
  published_at: Seconds,
  /** From this very second on the snapshot counts as absent. */
  expires_at: PositiveSeconds,
  entries: Schema.Array(RevocationEntry),
  extensions: Schema.optionalKey(Extensions)
})
export type RevocationList = typeof RevocationList.Type

/** The document on the wire. The signature is a sibling here, unlike in a Manifest: nobody relays a snapshot. */
export const RevocationSnapshot = Schema.Struct({
  revocation_list: RevocationList,
  signature: SignatureText
})
export type RevocationSnapshot = typeof RevocationSnapshot.Type

/** `inner` is the RFC's signing input. `wrapped` signs `{"revocation_list": …}` as SDKs up to aitp-rs 0.4 do. */
export type SnapshotForm = "inner" | "wrapped"

const signingInput = (list: object, form: SnapshotForm): object =>
  form === "inner" ? list : { revocation_list: list }

/** The text a snapshot's signature covers. */
export const revocationBytesToSign = (
  list: RevocationList | JsonObject,
  form: SnapshotForm = "inner"
): string => canonicalJson(signingInput(list, form))

/** Signs a list under the key of its `issuer`; throws a TypeError for a signer with another key. */
export const signRevocationList = (
  list: RevocationList,
  signer: Signer,
  form: SnapshotForm = "inner"
): RevocationSnapshot => {
  if (Buffer.compare(keyOfAid(list.issuer).raw, signer.raw) !== 0) throw new TypeError("not the issuer's key")
  return { revocation_list: list, signature: signDigest(signer, canonicalDigest(signingInput(list, form))) }
}

/** A snapshot that may not be used under any fail mode (§3). */
export class SnapshotRefused extends Data.TaggedError("SnapshotRefused")<{
  readonly code: "REVOCATION_SNAPSHOT_INVALID" | "UNKNOWN_FIELD" | "REVOCATION_SNAPSHOT_SIGNATURE_INVALID"
  /** Short, safe to show. */
  readonly message: string
}> {}

interface VerifySnapshotOptions extends VerifyOptions {
  /** Also accept the `wrapped` form. Default false: no verifier accepts both forms of the specification by accident. */
  readonly acceptWrapped?: boolean
}

interface VerifiedSnapshot {
  readonly list: RevocationList
  /** What the signature turned out to cover. */
  readonly form: SnapshotForm
  /** Listed handles in lower case. */
  readonly revoked: ReadonlySet<string>
}

const readStructure = structureReader(RevocationSnapshot)

const refuse = (code: SnapshotRefused["code"], message: string) =>
  Result.fail(new SnapshotRefused({ code, message }))

/**
 * Verifies a snapshot as parsed from the wire: structure, unknown members, signature under the key of its `issuer`. Whether
 * it is the right issuer's and fresh is for {@link decideRevocation}. Never throws.
 */
export const verifyRevocationSnapshot = (
  wire: unknown,
  options: VerifySnapshotOptions = {}
): Result.Result<VerifiedSnapshot, SnapshotRefused> => {
  const read = readStructure(wire)
  if (Result.isFailure(read)) {
    const { message, unknownField } = read.failure
    return refuse(unknownField ? "UNKNOWN_FIELD" : "REVOCATION_SNAPSHOT_INVALID", message)
  }
  const { revocation_list: list, signature } = read.success
  const body = isJsonObject(wire) ? wire["revocation_list"] : undefined
  if (!isJsonObject(body)) return refuse("REVOCATION_SNAPSHOT_INVALID", "revocation_list is not an object")
  const forms: ReadonlyArray<SnapshotForm> = options.acceptWrapped === true ? ["inner", "wrapped"] : ["inner"]
  for (const form of forms) {
    let digest: Uint8Array
    try {
      digest = canonicalDigest(signingInput(body, form))
    } catch {
      return refuse("REVOCATION_SNAPSHOT_INVALID", "snapshot holds a value that JSON cannot")
    }
    if (verifyDigest(keyOfAid(list.issuer), digest, signature, options) !== undefined) {
      return Result.succeed({
        list,
        form,
        revoked: new Set(list.entries.map(({ jti }) => jti.toLowerCase()))
      })
    }
  }
  return refuse("REVOCATION_SNAPSHOT_SIGNATURE_INVALID", "signature does not verify under the issuer's key")
}

/** What to do without a usable snapshot (§3). Never to be relaxed because of a transient error. */
export interface RevocationPolicy {
  readonly failMode: "fail_closed" | "fail_open" | "soft_fail"
  /** Greatest age of a snapshot by `published_at`, in seconds; the schema's default is 300. */
  readonly maxStalenessSecs: number
  /** `soft_fail` only: capabilities still allowed. None or empty behaves like `fail_closed`. */
  readonly safeCapabilities?: ReadonlyArray<string>
}

/** Why a snapshot counts as absent. */
type SnapshotAbsence = "none" | "other_issuer" | "expired" | "stale"

type RevocationDecision =
  | { readonly allowed: true; readonly basis: "not_listed" }
  /** The caller must log it; under `soft_fail` only `capabilities` are allowed. */
  | {
      readonly allowed: true
      readonly basis: "fail_open" | "soft_fail"
      readonly absence: SnapshotAbsence
      readonly capabilities?: ReadonlyArray<string>
    }
  | { readonly allowed: false; readonly code: "TCT_REVOKED"; readonly basis: "listed" }
  | {
      readonly allowed: false
      readonly code: "TCT_REVOKED"
      readonly basis: "absent"
      readonly absence: SnapshotAbsence
    }

interface RevocationQuestion {
  /** `iss` of the TCT in question. */
  readonly issuer: Aid
  /** Its handle, any case. */
  readonly jti: string
  /** The issuer's verified snapshot, if there is one. */
  readonly snapshot: VerifiedSnapshot | undefined
  /** Unix seconds. */
  readonly now: number
  readonly policy: RevocationPolicy
}

/** Why the snapshot may not answer for `issuer`; `undefined` when it may. */
const absenceOf = ({ issuer, now, policy, snapshot }: RevocationQuestion): SnapshotAbsence | undefined => {
  if (snapshot === undefined) return "none"
  const { list } = snapshot
  if (!sameKey(list.issuer, issuer)) return "other_issuer"
  if (list.expires_at <= now) return "expired"
  return now - list.published_at > policy.maxStalenessSecs ? "stale" : undefined
}

/** Answers from the issuer's snapshot or, when that counts as absent, from the policy (§3). */
export const decideRevocation = (question: RevocationQuestion): RevocationDecision => {
  const { jti, policy, snapshot } = question
  const absence = absenceOf(question)
  if (absence === undefined) {
    return snapshot?.revoked.has(jti.toLowerCase()) === true
      ? { allowed: false, code: "TCT_REVOKED", basis: "listed" }
      : { allowed: true, basis: "not_listed" }
  }
  if (policy.failMode === "fail_open") return { allowed: true, basis: "fail_open", absence }
  const capabilities = policy.safeCapabilities ?? []
  return policy.failMode === "soft_fail" && capabilities.length > 0
    ? { allowed: true, basis: "soft_fail", absence, capabilities }
    : { allowed: false, code: "TCT_REVOKED", basis: "absent", absence }
}
