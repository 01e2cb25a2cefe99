// The signature all documents of the revocation feeds share: Ed25519 under the control plane's AID over SHA-256 of the
// canonical JSON of the inner body, as a sibling of that body (RFC-AITP-0001 §5.4.1, RFC-AITP-0008 §1.5).

import { decodeBase64url } from "./base64url.ts"
import { canonicalJson } from "./canonical-json.ts"
import { type Members, membersOf, text } from "./fields.ts"
import { RevocationRefused } from "./refusal.ts"
import { sha256 } from "./sha256.ts"

/** Literal of the formats that are this control plane's own: deltas, filters and statuses. */
export const FEED_VERSION = "aitp-cp/1"

// Both spellings of an Ed25519 key. The service signs with Ed25519 only.
const aidPattern = /^aid:pubkey:(?:ed25519:)?([A-Za-z0-9_-]{43})$/
const signaturePattern = /^(?:ed25519\.)?([A-Za-z0-9_-]{86})$/

const encodedKeyOf = (aid: string): string | undefined => aidPattern.exec(aid)?.[1]

/** `ISSUER` unless both AIDs spell one Ed25519 key. */
export const assertSameIssuer = (expected: string, found: string): void => {
  const key = encodedKeyOf(expected)
  if (key === undefined || key !== encodedKeyOf(found)) {
    throw new RevocationRefused("ISSUER", "document is of another issuer")
  }
}

const verifies = async (
  aid: string,
  digest: Uint8Array<ArrayBuffer>,
  signature: string
): Promise<boolean> => {
  const raw = decodeBase64url(encodedKeyOf(aid) ?? "")
  const signed = decodeBase64url(signaturePattern.exec(signature)?.[1] ?? "")
  if (raw?.length !== 32 || signed?.length !== 64) return false
  // The reader has configured this key, so it needs no test for points of small order.
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"])
  return crypto.subtle.verify("Ed25519", key, signed, digest)
}

const parse = (document: string): unknown => {
  try {
    return JSON.parse(document)
  } catch {
    throw new RevocationRefused("MALFORMED", "not JSON")
  }
}

const canonicalDigest = (body: unknown) => {
  try {
    return sha256(canonicalJson(body))
  } catch {
    throw new RevocationRefused("MALFORMED", "holds a value that the formats do not have")
  }
}

/**
 * The body of `{"<name>": body, "signature": …}` when it was signed by `issuer`, the AID of the control plane that the
 * reader is configured to trust. The members of the body are still to be read.
 */
export const openDocument = async (document: string, name: string, issuer: string): Promise<Members> => {
  const envelope = membersOf(parse(document), [name, "signature"])
  const body = envelope[name]
  if (typeof body !== "object" || body === null)
    throw new RevocationRefused("MALFORMED", `${name} is no object`)
  const members = body as Members // an array has no issuer and is refused by the next line
  assertSameIssuer(issuer, text(members, "issuer"))
  if (!(await verifies(issuer, await canonicalDigest(body), text(envelope, "signature")))) {
    throw new RevocationRefused("SIGNATURE", "signature does not verify under the issuer's key")
  }
  return members
}
