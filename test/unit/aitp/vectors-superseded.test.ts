import { assert } from "@effect/vitest"
import { Result } from "effect"
import { keyOfAid, parseAid } from "../../../src/aitp/aid.ts"
import { canonicalDigest, canonicalJson } from "../../../src/aitp/jcs.ts"
import type { JsonObject } from "../../../src/aitp/json.ts"
import { verifyRevocationSnapshot } from "../../../src/aitp/revocation-list.ts"
import { verifySessionBundle } from "../../../src/aitp/session-bundle.ts"
import { verifyDigest } from "../../../src/aitp/signature.ts"
import { describeVectors, readVector } from "../../support/aitp/vectors.ts"

const now = 1711900100

const bundleCode = (wire: unknown) => Result.getOrThrow(Result.flip(verifySessionBundle(wire, { now }))).code

describeVectors("superseded/", {
  "kat-keypair-001-snapshot.wrapped-at-52582bb9.json": (path) => {
    const { revocation_list, signature } = readVector<JsonObject>(path)
    const wire = { revocation_list, signature }
    const refused = Result.getOrThrow(Result.flip(verifyRevocationSnapshot(wire)))
    assert.strictEqual(refused.code, "REVOCATION_SNAPSHOT_SIGNATURE_INVALID")
    // It fails because of what it covers and for no other reason: the old form, asked for, verifies.
    assert.strictEqual(
      Result.getOrThrow(verifyRevocationSnapshot(wire, { acceptWrapped: true })).form,
      "wrapped"
    )
  },

  "jcs-sha256.wrapped-at-52582bb9.json": (path) => {
    const { vectors } = readVector<{
      vectors: ReadonlyArray<{
        id: string
        object?: Readonly<Record<string, JsonObject>>
        jcs_canonical_hex?: string
        coordinator_signature_b64url?: string
      }>
    }>(path)
    const wrapped = vectors.flatMap(({ object, ...rest }) =>
      object === undefined ? [] : [{ ...rest, object }]
    )
    assert.strictEqual(wrapped.length, 3)
    for (const { id, jcs_canonical_hex, object } of wrapped) {
      const inner = Object.values(object)[0]
      assert.notStrictEqual(Buffer.from(canonicalJson(inner)).toString("hex"), jcs_canonical_hex, id)
      assert.strictEqual(Buffer.from(canonicalJson(object)).toString("hex"), jcs_canonical_hex, id)
    }
    const bundle = wrapped.find(({ id }) => id === "kat-session-bundle-001")
    const signature = bundle?.coordinator_signature_b64url
    const body = bundle?.object["session_bundle"]
    const coordinator = parseAid(String(body?.["coordinator"]))
    if (signature === undefined || body === undefined || coordinator === undefined) {
      assert.fail("vector lost its bundle")
    }
    const key = keyOfAid(coordinator)
    assert.isUndefined(verifyDigest(key, canonicalDigest(body), signature))
    assert.strictEqual(verifyDigest(key, canonicalDigest(bundle?.object), signature), "ed25519")
    assert.strictEqual(bundleCode({ session_bundle: { ...body, signature } }), "BUNDLE_INVALID_SIGNATURE")
  },

  "aitp-session-bundle.schema.sibling-signature-at-52582bb9.json": (path) => {
    const { required } = readVector<{ required: ReadonlyArray<string> }>(path)
    assert.deepStrictEqual(required, ["session_bundle", "signature"])
    const { session_bundle } = readVector<{ session_bundle: JsonObject }>(
      "known-answer/signed-examples/session-bundle/kat-keypair-001-bundle.json"
    )
    const { signature, ...body } = session_bundle
    assert.strictEqual(bundleCode({ session_bundle: body, signature }), "SESSION_BUNDLE_INVALID")
    assert.strictEqual(bundleCode({ session_bundle, signature }), "UNKNOWN_FIELD")
  }
})
