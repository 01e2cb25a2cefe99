import { assert } from "@effect/vitest"
import { Result } from "effect"
import { type Aid, isAid, keyOfAid, parseAid } from "../../../src/aitp/aid.ts"
import { decodeBase64urlOf } from "../../../src/aitp/base64url.ts"
import { canonicalDigest, canonicalJson } from "../../../src/aitp/jcs.ts"
import { readJson } from "../../../src/aitp/json.ts"
import { parseSignature, verifyDigest } from "../../../src/aitp/signature.ts"
import { verifyTct } from "../../../src/aitp/tct.ts"
import { describeVectors, readVector } from "../../support/aitp/vectors.ts"

interface Vectors<T> {
  readonly vectors: ReadonlyArray<T & { readonly id: string }>
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describeVectors("edge/", {
  "jcs-edge.json": (path) => {
    const { vectors } =
      readVector<Vectors<{ input: string; ok: boolean; canonical?: string; sha256_hex?: string }>>(path)
    assert.strictEqual(vectors.length, 27)
    for (const { canonical, id, input, ok, sha256_hex } of vectors) {
      // The same answer for text and for its bytes.
      for (const given of [input, Buffer.from(input)]) {
        const read = readJson(given)
        // A lone surrogate that is not escaped cannot be written as UTF-8 at all; no vector has one.
        assert.strictEqual(Result.isSuccess(read), ok, id)
        if (Result.isFailure(read)) continue
        assert.strictEqual(canonicalJson(read.success), canonical, id)
        assert.strictEqual(hex(canonicalDigest(read.success)), sha256_hex, id)
      }
    }
  },

  "base64url-and-aid-edge.json": (path) => {
    const { vectors } = readVector<Vectors<{ kind: string; field: string; ok: boolean }>>(path)
    assert.strictEqual(vectors.length, 36)
    const accepts: Record<string, (field: string) => boolean> = {
      aid: isAid,
      sig: (field) => parseSignature(field) !== undefined,
      challenge: (field) => decodeBase64urlOf(16, field) !== undefined
    }
    for (const { field, id, kind, ok } of vectors) assert.strictEqual(accepts[kind]?.(field), ok, id)
  },

  "signature-edge.json": (path) => {
    const { body, jcs, sha256_hex, vectors } = readVector<
      Vectors<{ aid: string; signature: string; ok: boolean | "policy" }> & {
        body: object
        jcs: string
        sha256_hex: string
      }
    >(path)
    assert.strictEqual(vectors.length, 14)
    assert.strictEqual(canonicalJson(body), jcs)
    const digest = canonicalDigest(body)
    assert.strictEqual(hex(digest), sha256_hex)
    for (const { aid: text, id, ok, signature } of vectors) {
      const aid = parseAid(text)
      const form = aid && verifyDigest(keyOfAid(aid), digest, signature)
      assert.strictEqual(form !== undefined, ok === true, id)
      const lenient = aid && verifyDigest(keyOfAid(aid), digest, signature, { acceptP256SingleHash: true })
      if (ok === "policy") assert.strictEqual(lenient, "p256_single_hash", id)
      else assert.strictEqual(lenient, form, id)
    }
  },

  "jws-edge.json": (path) => {
    const { expected_audience, now, vectors } = readVector<
      Vectors<{ token: string; ok: boolean; code?: string }> & { now: number; expected_audience: Aid }
    >(path)
    assert.strictEqual(vectors.length, 24)
    for (const { code, id, ok, token } of vectors) {
      const verified = verifyTct(token, { now, audience: expected_audience })
      assert.strictEqual(Result.isSuccess(verified), ok, id)
      if (Result.isFailure(verified)) assert.strictEqual(verified.failure.code, code, id)
    }
  }
})
