// Session trust bundle (RFC-AITP-0010, draft, opt-in): a coordinator attests who takes part in a session. It says nothing
// about trust between two participants, and cannot be revoked as a whole.

import { Data, Result, Schema } from "effect"
import { Aid, keyOfAid, sameKey } from "./aid.ts"
import { Extensions, PositiveSeconds, protocolVersion, Seconds, SignatureText, Version } from "./fields.ts"
import { SessionId } from "./ids.ts"
import { canonicalDigest } from "./jcs.ts"
import { isJsonObject, type JsonObject } from "./json.ts"
import { parseToken } from "./jws.ts"
import { signDigest, verifyDigest } from "./signature.ts"
import type { Signer } from "./signer.ts"
import { structureReader } from "./structure.ts"
import { verifyTct } from "./tct.ts"

/** Members of a bundle (§3). */
export const SessionBundle = Schema.Struct({
  version: Version,
  session_id: SessionId,
  /** Whose key signs the bundle, and `iss` of every TCT in it. */
  coordinator: Aid,
  /** Unix seconds. */
  issued_at: Seconds,
  /** Unix seconds, the smallest `exp` among the TCTs (§6). */
  expires_at: PositiveSeconds,
  /** At least one; emptiness has a code of its own. */
  participants: Schema.Array(
    Schema.Struct({
      /** The same principal as `aud` of `tct`. */
      aid: Aid,
      /** Compact TCT, verbatim. */
      tct: Schema.String
    })
  ),
  extensions: Schema.optionalKey(Extensions),
  /** Over all other members. A member, not a sibling: bundles are passed on. */
  signature: SignatureText
})
export type SessionBundle = typeof SessionBundle.Type

const readStructure = structureReader(Schema.Struct({ session_bundle: SessionBundle }))

/** The first failure in the order of §5. */
export class BundleRefused extends Data.TaggedError("BundleRefused")<{
  readonly code:
    | "SESSION_BUNDLE_INVALID"
    | "UNKNOWN_FIELD"
    | "BUNDLE_VERSION_MISMATCH"
    | "BUNDLE_EXPIRED"
    | "BUNDLE_EXPIRY_WINDOW_INVARIANT"
    | "BUNDLE_EMPTY_PARTICIPANTS"
    | "BUNDLE_INVALID_SIGNATURE"
    | "BUNDLE_COORDINATOR_ISSUER_MISMATCH"
    | "BUNDLE_AUDIENCE_MISMATCH"
    | "BUNDLE_PARTICIPANT_TCT_INVALID"
    | "BUNDLE_NOT_MEMBER"
  /** Short, safe to show. */
  readonly message: string
}> {}

interface VerifyBundleOptions {
  /** Unix seconds. */
  readonly now: number
  /** When given, this AID (either spelling) must be among the participants. */
  readonly self?: Aid
}

const refuse = (code: BundleRefused["code"], message: string) =>
  Result.fail(new BundleRefused({ code, message }))

const expiryOf = (tct: string): number | undefined => {
  const token = parseToken(tct)
  const exp = Result.isSuccess(token) ? token.success.claims["exp"] : undefined
  return typeof exp === "number" ? exp : undefined
}

/**
 * Verifies `{"session_bundle": {…}}` as parsed from the wire (§5): version, structure, expiry, window, participants,
 * signature, each TCT, own membership. Never throws.
 */
export const verifySessionBundle = (
  wire: unknown,
  options: VerifyBundleOptions
): Result.Result<SessionBundle, BundleRefused> => {
  const inner = isJsonObject(wire) ? wire["session_bundle"] : undefined
  if (!isJsonObject(inner)) return refuse("SESSION_BUNDLE_INVALID", "session_bundle is not an object")
  if (typeof inner["version"] === "string" && inner["version"] !== protocolVersion) {
    return refuse("BUNDLE_VERSION_MISMATCH", `version is not ${protocolVersion}`)
  }
  const read = readStructure(wire)
  if (Result.isFailure(read)) {
    const { message, unknownField } = read.failure
    return refuse(unknownField ? "UNKNOWN_FIELD" : "SESSION_BUNDLE_INVALID", message)
  }
  const bundle = read.success.session_bundle
  if (bundle.expires_at <= options.now) return refuse("BUNDLE_EXPIRED", "expires_at has passed")
  if (bundle.participants.length === 0) return refuse("BUNDLE_EMPTY_PARTICIPANTS", "no participants")

  let earliest = Infinity
  for (const { tct } of bundle.participants) {
    const exp = expiryOf(tct)
    if (exp === undefined) return refuse("BUNDLE_PARTICIPANT_TCT_INVALID", "a participant's TCT is malformed")
    earliest = Math.min(earliest, exp)
  }
  if (bundle.expires_at !== earliest) {
    return refuse("BUNDLE_EXPIRY_WINDOW_INVARIANT", "expires_at is not the smallest exp of the TCTs")
  }

  let digest: Uint8Array
  try {
    digest = bundleDigest(inner)
  } catch {
    return refuse("SESSION_BUNDLE_INVALID", "bundle holds a value that JSON cannot")
  }
  if (verifyDigest(keyOfAid(bundle.coordinator), digest, bundle.signature) === undefined) {
    return refuse("BUNDLE_INVALID_SIGNATURE", "signature does not verify under the coordinator's key")
  }

  for (const { aid, tct } of bundle.participants) {
    const claims = verifyTct(tct, { now: options.now, audience: aid })
    if (Result.isFailure(claims)) {
      return claims.failure.code === "AUDIENCE_MISMATCH"
        ? refuse("BUNDLE_AUDIENCE_MISMATCH", "a participant is not the audience of its TCT")
        : refuse("BUNDLE_PARTICIPANT_TCT_INVALID", "a participant's TCT does not verify")
    }
    if (!sameKey(claims.success.iss, bundle.coordinator)) {
      return refuse("BUNDLE_COORDINATOR_ISSUER_MISMATCH", "a TCT was not issued by the coordinator")
    }
  }
  const { self } = options
  return self === undefined || bundle.participants.some(({ aid }) => sameKey(aid, self))
    ? Result.succeed(bundle)
    : refuse("BUNDLE_NOT_MEMBER", "the verifier is not a participant")
}

const bundleDigest = (bundle: JsonObject): Uint8Array => {
  const { signature: _, ...body } = bundle
  return canonicalDigest(body)
}

/** Signs a bundle. For tests and tools: this service coordinates no sessions. */
export const signSessionBundle = (body: Omit<SessionBundle, "signature">, signer: Signer): SessionBundle => ({
  ...body,
  signature: signDigest(signer, canonicalDigest(body))
})
