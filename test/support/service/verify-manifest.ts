import { createHash, createPublicKey, verify } from "node:crypto"

/**
 * A second, independent reading of RFC-AITP-0003 with nothing but `node:crypto`, for Ed25519 manifests whose strings are
 * ASCII and whose numbers are integers: for those, canonical JSON is `JSON.stringify` of sorted members.
 */

type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [name: string]: Json }

const canonical = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const members = Object.entries(value as { readonly [name: string]: Json }) // neither array nor null
  return `{${members
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`)
    .join(",")}}`
}

const sha256 = (data: string | Buffer): Buffer => createHash("sha256").update(data).digest()

/** Why the text of a served manifest does not verify; undefined when it does. */
export const manifestFault = (text: string, nowSecs: number): string | undefined => {
  const { manifest } = JSON.parse(text) as { readonly manifest: Readonly<Record<string, Json>> }
  const { signature, ...body } = manifest
  const [, raw] = /^aid:pubkey:(?:ed25519:)?([A-Za-z0-9_-]{43})$/.exec(String(body["aid"])) ?? []
  if (raw === undefined) return "aid is not an Ed25519 AID"
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw }, format: "jwk" })
  const verifies = (digest: Buffer, tagged: unknown): boolean => {
    const [, text64] = /^(?:ed25519\.)?([A-Za-z0-9_-]{86})$/.exec(String(tagged)) ?? []
    return text64 !== undefined && verify(null, digest, key, Buffer.from(text64, "base64url"))
  }
  const proof = body["proof_of_possession"] as { readonly challenge: string; readonly signature: string }
  if (!/^[A-Za-z0-9_-]{22}$/.test(proof.challenge)) return "challenge is not 16 bytes"
  if (!verifies(sha256(Buffer.from(proof.challenge, "base64url")), proof.signature)) return "proof fails"
  if (!verifies(sha256(canonical(body)), signature)) return "signature fails"
  const { expires_at: expiresAt, published_at: publishedAt } = body
  if (typeof publishedAt !== "number" || publishedAt > nowSecs) return "published_at is ahead"
  if (typeof expiresAt !== "number" || expiresAt <= nowSecs) return "expired"
  return undefined
}
