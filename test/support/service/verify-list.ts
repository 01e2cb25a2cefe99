import { createHash, createPublicKey, verify } from "node:crypto"

/**
 * A second, independent reading of RFC-AITP-0008 §1.5 with nothing but `node:crypto`, for lists of an Ed25519 issuer. Names
 * of members are ASCII, so sorting them as text is sorting them by code units.
 */

export interface ListEntry {
  readonly jti: string
  readonly revoked_at: number
  readonly reason?: string
}

export interface SignedList {
  readonly revocation_list: {
    readonly version: string
    readonly issuer: string
    readonly published_at: number
    readonly expires_at: number
    readonly entries: ReadonlyArray<ListEntry>
  }
  readonly signature: string
}

const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`)
    .join(",")}}`
}

const names = (value: object) => Object.keys(value).toSorted().join()

/** Why the text of a served list does not verify; undefined when it does. `form` is what the signature covers. */
export const listFault = (text: string, form: "inner" | "wrapped" = "inner"): string | undefined => {
  const wire = JSON.parse(text) as SignedList
  const { revocation_list: list, signature } = wire
  if (names(wire) !== "revocation_list,signature") return `members ${names(wire)}`
  if (names(list) !== "entries,expires_at,issuer,published_at,version") return `members ${names(list)}`
  if (list.version !== "aitp/0.2") return "version"
  if (!Number.isInteger(list.published_at) || !Number.isInteger(list.expires_at)) return "times"
  for (const [index, entry] of list.entries.entries()) {
    if (names(entry) !== "jti,revoked_at" && names(entry) !== "jti,reason,revoked_at")
      return `members ${names(entry)}`
    if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(entry.jti)) return `jti ${entry.jti}`
    if (!Number.isInteger(entry.revoked_at)) return "revoked_at"
    const before = list.entries[index - 1]
    if (before === undefined) continue
    if (before.revoked_at > entry.revoked_at) return `order at ${index}`
    if (before.revoked_at === entry.revoked_at && before.jti >= entry.jti) return `order at ${index}`
  }
  const [, raw] = /^aid:pubkey:(?:ed25519:)?([A-Za-z0-9_-]{43})$/.exec(list.issuer) ?? []
  if (raw === undefined) return "issuer is not an Ed25519 AID"
  if (!/^[A-Za-z0-9_-]{86}$/.test(signature)) return "signature is not 64 bytes"
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw }, format: "jwk" })
  const signed = canonical(form === "inner" ? list : { revocation_list: list })
  const digest = createHash("sha256").update(signed).digest()
  return verify(null, digest, key, Buffer.from(signature, "base64url")) ? undefined : "signature fails"
}
