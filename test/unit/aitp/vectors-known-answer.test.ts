import { assert } from "@effect/vitest"
import { Result } from "effect"
import { type Aid, canonicalKey, formatAid, keyOfAid, parseAid } from "../../../src/aitp/aid.ts"
import { decodeBase64urlOf, encodeBase64url } from "../../../src/aitp/base64url.ts"
import { type DelegationClaims, mintDelegation, verifyDelegation } from "../../../src/aitp/delegation.ts"
import { chainHash } from "../../../src/aitp/delegation-chain.ts"
import { canonicalDigest, canonicalJson } from "../../../src/aitp/jcs.ts"
import type { JsonObject } from "../../../src/aitp/json.ts"
import { inspectToken } from "../../../src/aitp/jws.ts"
import {
  type Manifest,
  type ManifestBody,
  manifestBytesToSign,
  signManifest,
  verifyManifest
} from "../../../src/aitp/manifest.ts"
import {
  type RevocationList,
  revocationBytesToSign,
  signRevocationList,
  verifyRevocationSnapshot
} from "../../../src/aitp/revocation-list.ts"
import {
  type SessionBundle,
  signSessionBundle,
  verifySessionBundle
} from "../../../src/aitp/session-bundle.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { signDigest, verifyDigest } from "../../../src/aitp/signature.ts"
import { ed25519Signer } from "../../../src/aitp/signer.ts"
import { mintTct, type TctClaims, verifyTct } from "../../../src/aitp/tct.ts"
import { mintVoucher, verifyVoucher, type VoucherClaims } from "../../../src/aitp/voucher.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { describeVectors, readVector, referenceSeed } from "../../support/aitp/vectors.ts"

const now = 1711900100
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
const signerOf = (id: string) => ed25519Signer(referenceSeed(id))
const aidOf = (id: string): Aid => formatAid("ed25519", signerOf(id).raw)

interface KeyVector {
  readonly id: string
  readonly seed_hex?: string
  readonly private_scalar_hex?: string
  readonly pubkey_b64url: string
  readonly aid: string
}

const checkKey = ({ aid, id, private_scalar_hex, pubkey_b64url, seed_hex }: KeyVector) => {
  const agent = makeAgent(
    private_scalar_hex === undefined
      ? { seed: Buffer.from(seed_hex ?? "", "hex") }
      : { alg: "p256", seed: Buffer.from(private_scalar_hex, "hex") }
  )
  assert.strictEqual(agent.aid, aid, id)
  assert.strictEqual(encodeBase64url(canonicalKey(agent.aid).raw), pubkey_b64url, id)
}

interface JcsVector {
  readonly id: string
  readonly object?: JsonObject
  readonly jcs_canonical_hex?: string
  readonly jcs_canonical_len_bytes?: number
  readonly sha256_hex: string
  readonly sha256_b64url: string
  readonly challenge: string
  readonly decoded_hex: string
  readonly signing_keypair_id: string
  readonly signer_aid: Aid
  readonly signature_b64url: string
  readonly coordinator_signature_b64url: string
  readonly voucher_jws: string
  readonly chain: ReadonlyArray<string>
  readonly chain_entry_sha256_b64url: ReadonlyArray<string>
  readonly digest_array_jcs: string
  readonly chain_hash: string
  readonly outer_delegation_jws: string
  readonly chain_hash_full: string
  readonly chain_truncated: ReadonlyArray<string>
  readonly chain_hash_truncated: string
}

const checkBody = (vector: JcsVector) => {
  assert.isDefined(vector.object)
  const bytes = Buffer.from(canonicalJson(vector.object))
  assert.strictEqual(bytes.toString("hex"), vector.jcs_canonical_hex)
  assert.strictEqual(bytes.length, vector.jcs_canonical_len_bytes)
  assert.strictEqual(hex(canonicalDigest(vector.object)), vector.sha256_hex)
  assert.strictEqual(encodeBase64url(canonicalDigest(vector.object)), vector.sha256_b64url)
}

const remint = (token: string, id: string) => {
  const claims = inspectToken(token)?.claims as unknown as DelegationClaims // just verified
  assert.strictEqual(mintDelegation(claims, signerOf(id)), token)
}

const jcsChecks: Record<string, (vector: JcsVector) => void> = {
  "kat-manifest-001": (vector) => {
    checkBody(vector)
    const withSignature = { ...vector.object, signature: "any" }
    assert.strictEqual(manifestBytesToSign(withSignature), canonicalJson(vector.object))
  },
  "kat-manifest-pop-001": (vector) => {
    const challenge = decodeBase64urlOf(16, vector.challenge)
    assert.isDefined(challenge)
    const digest = sha256(challenge ?? "")
    assert.strictEqual(hex(challenge ?? Buffer.of()), vector.decoded_hex)
    assert.strictEqual(hex(digest), vector.sha256_hex)
    assert.strictEqual(signDigest(signerOf(vector.signing_keypair_id), digest), vector.signature_b64url)
    const key = keyOfAid(vector.signer_aid)
    assert.strictEqual(verifyDigest(key, digest, vector.signature_b64url), "ed25519")
    assert.isUndefined(
      verifyDigest(key, sha256(vector.challenge), vector.signature_b64url),
      "never the ASCII text"
    )
  },
  "kat-revocation-001": (vector) => {
    checkBody(vector)
    assert.strictEqual(revocationBytesToSign(vector.object ?? {}), canonicalJson(vector.object))
  },
  "kat-multihop-chain-001": (vector) => {
    assert.deepStrictEqual(
      vector.chain.map((hop) => encodeBase64url(sha256(hop))),
      vector.chain_entry_sha256_b64url
    )
    assert.strictEqual(canonicalJson(vector.chain_entry_sha256_b64url), vector.digest_array_jcs)
    assert.strictEqual(chainHash(vector.chain), vector.chain_hash)
    const self = aidOf("kat-keypair-001")
    const verify = (extra: object) => verifyDelegation(vector.outer_delegation_jws, { now, self, ...extra })
    const accepted = Result.getOrThrow(verify({ multihop: { maxHops: 3 } }))
    assert.deepStrictEqual(accepted.grants, ["macp.mode.task.v1"])
    const code = (extra: object) => Result.getOrThrow(Result.flip(verify(extra))).code
    assert.strictEqual(code({}), "DELEGATION_MULTIHOP_NOT_SUPPORTED")
    assert.strictEqual(code({ multihop: { maxHops: 2 } }), "DELEGATION_HOP_LIMIT_EXCEEDED")
    const hop = "550e8400-e29b-41d4-a716-446655440011"
    assert.strictEqual(
      code({ multihop: { maxHops: 3 }, isRevoked: (_: Aid, jti: string) => jti === hop }),
      "DELEGATION_SOURCE_TCT_REVOKED"
    )
    // Every token in it re-mints byte for byte.
    remint(vector.outer_delegation_jws, "kat-keypair-003")
    remint(vector.chain[0] ?? "", "kat-keypair-002")
    assert.isTrue(inspectToken(vector.voucher_jws)?.signatureVerified)
  },
  "kat-multihop-truncation-001": (vector) => {
    assert.strictEqual(chainHash(vector.chain_truncated), vector.chain_hash_truncated)
    assert.notStrictEqual(vector.chain_hash_truncated, vector.chain_hash_full)
  },
  "kat-session-bundle-001": (vector) => {
    checkBody(vector)
    const digest = canonicalDigest(vector.object)
    const coordinator = parseAid(String(vector.object?.["coordinator"]))
    assert.isDefined(coordinator)
    assert.strictEqual(
      coordinator && verifyDigest(keyOfAid(coordinator), digest, vector.coordinator_signature_b64url),
      "ed25519"
    )
    assert.strictEqual(signDigest(signerOf("kat-keypair-001"), digest), vector.coordinator_signature_b64url)
  }
}

describeVectors("known-answer/", {
  "keypairs.json": (path) => {
    const { vectors } = readVector<{ vectors: ReadonlyArray<KeyVector> }>(path)
    assert.strictEqual(vectors.length, 5)
    vectors.forEach(checkKey)
  },

  "keypair-006-attacker.json": (path) => checkKey(readVector<KeyVector>(path)),

  "jwk-thumbprints.json": (path) => {
    const { vectors } = readVector<{
      vectors: ReadonlyArray<{
        id: string
        keypair_ref: string
        jwk_canonical: string
        sha256_hex: string
        jkt: string
      }>
    }>(path)
    const { vectors: keys } = readVector<{ vectors: ReadonlyArray<KeyVector> }>("known-answer/keypairs.json")
    assert.strictEqual(vectors.length, 5)
    for (const { id, jkt, jwk_canonical, keypair_ref, sha256_hex } of vectors) {
      const aid = parseAid(keys.find((key) => key.id === keypair_ref)?.aid ?? "")
      assert.isDefined(aid, id)
      assert.strictEqual(aid && keyOfAid(aid).thumbprint, jkt, id)
      assert.strictEqual(hex(sha256(jwk_canonical)), sha256_hex, id)
      assert.strictEqual(encodeBase64url(sha256(jwk_canonical)), jkt, id)
    }
  },

  "jcs-sha256.json": (path) => {
    const { vectors } = readVector<{ vectors: ReadonlyArray<JcsVector> }>(path)
    assert.deepStrictEqual(vectors.map(({ id }) => id).sort(), Object.keys(jcsChecks).sort())
    for (const vector of vectors) jcsChecks[vector.id]?.(vector)
  },

  "signed-examples/manifest/kat-keypair-001-manifest.json": (path) => {
    const { manifest } = readVector<{ manifest: Manifest & JsonObject }>(path)
    const verified = Result.getOrThrow(verifyManifest(manifest, { now, profile: "strict" }))
    assert.deepStrictEqual(verified.manifest, manifest)
    assert.deepStrictEqual(verified.findings, [])
    const { aid: _, proof_of_possession, signature: __, version: ___, ...body } = manifest
    const challenge = Buffer.from(proof_of_possession.challenge, "base64url")
    assert.deepStrictEqual(
      signManifest(body as ManifestBody, challenge, signerOf("kat-keypair-001")), // the rest is the body
      manifest
    )
    // Touching any signed byte is noticed: here the one a URL type would add or drop.
    const normalised = { ...manifest, accepted_trust_anchors: ["https://idp.example.com"] }
    const refused = Result.getOrThrow(Result.flip(verifyManifest(normalised, { now, profile: "strict" })))
    assert.strictEqual(refused.protocolCode, "MANIFEST_SIGNATURE_INVALID")
  },

  "signed-examples/revocation/kat-keypair-001-snapshot.json": (path) => {
    const { revocation_list, signature } = readVector<{ revocation_list: RevocationList; signature: string }>(
      path
    )
    const snapshot = { revocation_list, signature }
    const verified = Result.getOrThrow(verifyRevocationSnapshot(snapshot))
    assert.strictEqual(verified.form, "inner")
    assert.deepStrictEqual(signRevocationList(revocation_list, signerOf("kat-keypair-001")), snapshot)
  },

  "signed-examples/session-bundle/kat-keypair-001-bundle.json": (path) => {
    const { session_bundle } = readVector<{ session_bundle: SessionBundle }>(path)
    const self = aidOf("kat-keypair-002")
    const verified = Result.getOrThrow(verifySessionBundle({ session_bundle }, { now, self }))
    assert.strictEqual(verified.participants.length, 1)
    const { signature: _, ...body } = session_bundle
    assert.deepStrictEqual(signSessionBundle(body, signerOf("kat-keypair-001")), session_bundle)
  },

  "signed-examples/tct/kat-keypair-001-issues-002.json": (path) => {
    const { decoded_claims, tct_token } = readVector<{ decoded_claims: TctClaims; tct_token: string }>(path)
    const verified = verifyTct(tct_token, { now, audience: aidOf("kat-keypair-002") })
    assert.deepStrictEqual(Result.getOrThrow(verified), decoded_claims)
    assert.strictEqual(mintTct(decoded_claims, signerOf("kat-keypair-001")), tct_token)
  },

  "signed-examples/grant-voucher/kat-voucher-001.json": (path) => {
    const { decoded_claims, voucher_token } = readVector<{
      decoded_claims: VoucherClaims
      voucher_token: string
    }>(path)
    const verified = verifyVoucher(voucher_token, { now, self: aidOf("kat-keypair-001") })
    assert.deepStrictEqual(Result.getOrThrow(verified), decoded_claims)
    assert.strictEqual(mintVoucher(decoded_claims, signerOf("kat-keypair-001")), voucher_token)
  },

  "signed-examples/delegation/single-hop-001-002-003.json": (path) => {
    const { decoded_claims, delegation_token } = readVector<{
      decoded_claims: DelegationClaims
      delegation_token: string
    }>(path)
    const options = { now, self: aidOf("kat-keypair-001") }
    const verified = Result.getOrThrow(verifyDelegation(delegation_token, options))
    assert.deepStrictEqual(verified.claims, decoded_claims)
    assert.strictEqual(mintDelegation(decoded_claims, signerOf("kat-keypair-002")), delegation_token)
    const source = verified.voucher.src_jti
    const revoked = verifyDelegation(delegation_token, { ...options, isRevoked: (_, jti) => jti === source })
    assert.strictEqual(Result.getOrThrow(Result.flip(revoked)).code, "DELEGATION_SOURCE_TCT_REVOKED")
  }
})
