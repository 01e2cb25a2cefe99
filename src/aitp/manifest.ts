// The Agent Manifest (RFC-AITP-0003): what an agent says about itself, signed with the key that is its AID.

import { Data, Result, Schema } from "effect"
import { Aid, formatAid, keyOfAid } from "./aid.ts"
import { decodeBase64url, decodeBase64urlOf, encodeBase64url } from "./base64url.ts"
import {
  Capabilities,
  Challenge,
  Extensions,
  isUniqueList,
  protocolVersion,
  PositiveSeconds,
  Seconds,
  SignatureText,
  Uri,
  Version
} from "./fields.ts"
import { canonicalDigest, canonicalJson } from "./jcs.ts"
import { isJsonObject, type JsonObject } from "./json.ts"
import { type ConformanceFinding, departuresOf, type EnrollmentProfile } from "./manifest-profile.ts"
import { sha256 } from "./sha256.ts"
import { signDigest, type SignatureForm, verifyDigest, type VerifyOptions } from "./signature.ts"
import type { Signer } from "./signer.ts"
import { structureReader } from "./structure.ts"

/** Static identity metadata (RFC-AITP-0002): a claim without proof; proof is exchanged in the handshake. */
export const IdentityHint = Schema.Struct({
  /** How peers may bind this agent to an identity. */
  type: Schema.Literals(["oidc", "pinned_key"]),
  /** Subject at the issuer, at least one character. */
  subject: Schema.NonEmptyString,
  /** Issuer URI; required for `oidc`. Compared verbatim. */
  issuer: Schema.optionalKey(Uri),
  /** Raw public key, base64url, 43 or 44 characters; required for `pinned_key`, forbidden for `oidc`. */
  public_key: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((text: string) => /^.{43,44}$/.test(text) && decodeBase64url(text) !== undefined, {
        expected: "a public key of 43 or 44 base64url characters"
      })
    )
  )
}).check(
  Schema.makeFilter(
    (hint) =>
      hint.type === "oidc"
        ? hint.issuer !== undefined && hint.public_key === undefined
        : hint.public_key !== undefined,
    { expected: "issuer and no public_key for oidc, public_key for pinned_key" }
  )
)

/**
 * Members of a Manifest (RFC-AITP-0003 §3). `required_peer_capabilities`, `accepted_*` and `extensions` are
 * presence-sensitive: absent and empty mean different things and are signed differently. The schema is as wide as the
 * `compat` profile; what only `strict` refuses is in manifest-profile.ts.
 */
export const Manifest = Schema.Struct({
  version: Version,
  /** The agent, and the key every signature here is checked under. */
  aid: Aid,
  /** For people, at most 128 code points (`compat`: 256). Never a trust input. */
  display_name: Schema.optionalKey(
    Schema.String.check(Schema.isMaxCodePoints(256, { expected: "at most 256 characters" }))
  ),
  identity_hint: IdentityHint,
  /** Absolute https URL where peers start the handshake. */
  handshake_endpoint: Uri,
  /** OIDC issuers accepted from peers: at least one URI (`compat`: may be empty for `pinned_key`), none twice (§5.1). */
  accepted_trust_anchors: Schema.Array(Uri).check(isUniqueList),
  /** What the agent may grant to peers; may be empty. */
  offered_capabilities: Capabilities,
  /** What a peer must hold before a handshake. */
  required_peer_capabilities: Schema.optionalKey(Capabilities),
  /** Identity types accepted from peers; absent = `["oidc"]`, `[]` = nobody (§3.2). */
  accepted_identity_types: Schema.optionalKey(
    Schema.Array(Schema.Literals(["oidc", "pinned_key"])).check(isUniqueList)
  ),
  /** Signature algorithms accepted from peers; absent = both, `[]` = nobody (§3.2). */
  accepted_signature_algorithms: Schema.optionalKey(
    Schema.Array(Schema.Literals(["ed25519", "p256"])).check(isUniqueList)
  ),
  proof_of_possession: Schema.Struct({
    /** 16 random bytes chosen at publication, 22 characters. */
    challenge: Challenge,
    /** Over SHA-256 of the decoded challenge, not of its text (RFC-AITP-0001 §5.4.2). */
    signature: SignatureText
  }),
  /** When it was signed, Unix seconds. The larger one wins between two Manifests of one AID (§4.3). */
  published_at: Seconds,
  /** Unix seconds; from this very second on it must not be used. */
  expires_at: PositiveSeconds,
  /** Signed and kept, ignored in decisions. */
  extensions: Schema.optionalKey(Extensions),
  /** Over SHA-256 of the canonical JSON of all other members (RFC-AITP-0001 §5.4.1). */
  signature: SignatureText
})
export type Manifest = typeof Manifest.Type

/** The SDKs' word for a failed verification. Two of them arise only at a peer, never at a registry. */
export type ManifestVerifyCode =
  | "signature_invalid"
  | "pop_failed"
  | "aid_mismatch"
  | "expired"
  | "version_unknown"
  | "identity_hint_malformed"
  | "incompatible_identity_type"
  | "malformed"

/** The code of the AITP error registry. */
export type ManifestProtocolCode =
  | "MANIFEST_VERSION_UNKNOWN"
  | "MANIFEST_INVALID"
  | "UNKNOWN_FIELD"
  | "MANIFEST_EXPIRED"
  | "MANIFEST_POP_FAILED"
  | "MANIFEST_SIGNATURE_INVALID"

/** The first failure in the order of RFC-AITP-0003 §5. */
export class ManifestRefused extends Data.TaggedError("ManifestRefused")<{
  readonly verifyCode: ManifestVerifyCode
  readonly protocolCode: ManifestProtocolCode
  /** Short, safe to show: names members and rules, never values. */
  readonly message: string
}> {}

interface VerifyManifestOptions extends VerifyOptions {
  /** Unix seconds. */
  readonly now: number
  readonly profile: EnrollmentProfile
}

export interface VerifiedManifest {
  readonly manifest: Manifest
  /** What `compat` tolerated; always empty under `strict`. */
  readonly findings: ReadonlyArray<ConformanceFinding>
  /** Which reading of the specification the two signatures follow. */
  readonly forms: { readonly proofOfPossession: SignatureForm; readonly manifest: SignatureForm }
}

const readStructure = structureReader(Manifest)

const refuse = (verifyCode: ManifestVerifyCode, protocolCode: ManifestProtocolCode, message: string) =>
  Result.fail(new ManifestRefused({ verifyCode, protocolCode, message }))

const bodyOf = (manifest: JsonObject): JsonObject => {
  const { signature: _, ...body } = manifest
  return body
}

/** The text a Manifest's signature covers: canonical JSON of the inner object without `signature`. */
export const manifestBytesToSign = (manifest: JsonObject): string => canonicalJson(bodyOf(manifest))

/** SHA-256, 32 bytes, of the canonical JSON including `signature`: one value for all ways to serialise one Manifest. */
export const manifestDigest = (manifest: JsonObject): Uint8Array => canonicalDigest(manifest)

/**
 * Verifies a Manifest (the inner object, exactly as parsed from the wire) in the order of RFC-AITP-0003 §5, steps 1 to 5:
 * version, structure, unknown members, expiry, proof of possession, signature. At most two signature checks, and none
 * before everything cheaper has passed. Step 6 (compatibility) is a peer's business. Never throws.
 */
export const verifyManifest = (
  wire: unknown,
  options: VerifyManifestOptions
): Result.Result<VerifiedManifest, ManifestRefused> => {
  if (!isJsonObject(wire)) return refuse("malformed", "MANIFEST_INVALID", "manifest is not an object")
  // A version that is absent or no text is a structural defect, not another version.
  if (typeof wire["version"] === "string" && wire["version"] !== protocolVersion) {
    return refuse("version_unknown", "MANIFEST_VERSION_UNKNOWN", `version is not ${protocolVersion}`)
  }

  const read = readStructure(wire)
  if (Result.isFailure(read) && !read.failure.unknownField) {
    const code = read.failure.member === "identity_hint" ? "identity_hint_malformed" : "malformed"
    return refuse(code, "MANIFEST_INVALID", read.failure.message)
  }
  // The structure holds, apart from members the schema does not know.
  const manifest = Result.isSuccess(read) ? read.success : (wire as unknown as Manifest)
  const departures = departuresOf(manifest)
  const intolerable = departures.find((each) => options.profile === "strict" || !each.tolerable)
  if (intolerable !== undefined) return refuse("malformed", "MANIFEST_INVALID", intolerable.message)
  if (Result.isFailure(read)) return refuse("malformed", "UNKNOWN_FIELD", read.failure.message)

  if (manifest.expires_at <= options.now)
    return refuse("expired", "MANIFEST_EXPIRED", "expires_at has passed")

  const key = keyOfAid(manifest.aid)
  const challenge = decodeBase64urlOf(16, manifest.proof_of_possession.challenge)
  const proofOfPossession =
    challenge && verifyDigest(key, sha256(challenge), manifest.proof_of_possession.signature, options)
  if (proofOfPossession === undefined) {
    return refuse(
      "pop_failed",
      "MANIFEST_POP_FAILED",
      "proof of possession does not verify under the AID key"
    )
  }

  let digest: Uint8Array
  try {
    digest = canonicalDigest(bodyOf(wire))
  } catch {
    return refuse("malformed", "MANIFEST_INVALID", "manifest holds a value that JSON cannot")
  }
  const form = verifyDigest(key, digest, manifest.signature, options)
  if (form === undefined) {
    return refuse(
      "signature_invalid",
      "MANIFEST_SIGNATURE_INVALID",
      "signature does not verify under the AID key"
    )
  }
  return Result.succeed({
    manifest,
    findings: departures.map((each) => each.finding),
    forms: { proofOfPossession, manifest: form }
  })
}

/** What a publisher decides; AID, version, proof and signature follow from the key. */
export type ManifestBody = Omit<Manifest, "version" | "aid" | "proof_of_possession" | "signature">

/**
 * Signs a Manifest. `challenge` is 16 fresh random bytes from the caller. The AID is in the untagged form for Ed25519
 * unless `aid` names the other spelling of the signer's key.
 */
export const signManifest = (
  body: ManifestBody,
  challenge: Uint8Array,
  signer: Signer,
  aid: Aid = formatAid(signer.alg, signer.raw)
): Manifest => {
  if (challenge.length !== 16) throw new RangeError("a challenge has 16 bytes")
  const unsigned = {
    ...body,
    version: protocolVersion,
    aid,
    proof_of_possession: {
      challenge: encodeBase64url(challenge),
      signature: signDigest(signer, sha256(challenge))
    }
  } as const
  return { ...unsigned, signature: signDigest(signer, canonicalDigest(unsigned)) }
}
