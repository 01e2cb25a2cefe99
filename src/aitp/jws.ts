// Compact JWS as AITP profiles it (RFC-AITP-0001 §5.4.5): header exactly `alg` and `typ`, the algorithm pinned by the
// issuer's AID and never chosen by the token, the transmitted bytes verified as they are.

import { Data, Result } from "effect"
import { keyOfAid, parseAid } from "./aid.ts"
import { decodeBase64url, encodeBase64url } from "./base64url.ts"
import { verifyEd25519 } from "./ed25519.ts"
import { canonicalJson } from "./jcs.ts"
import { isJsonObject, type JsonObject, readJson } from "./json.ts"
import type { KeyAlg, PublicKey } from "./keys.ts"
import { verifyP256 } from "./p256.ts"
import { parseJson } from "./parse-json.ts"
import type { Signer } from "./signer.ts"

/** A token that has the required form. Nothing is verified yet. */
export interface CompactToken {
  readonly alg: string
  readonly typ: string
  readonly claims: JsonObject
  /** Key in `iss`, when that is an AID. */
  readonly issuerKey: PublicKey | undefined
  /** ASCII of `header.payload`, as transmitted. */
  readonly signingInput: Uint8Array
  readonly signature: Uint8Array
}

/** The text is not a compact JWS of the AITP profile. */
export class TokenMalformed extends Data.TaggedError("TokenMalformed")<{ readonly message: string }> {}

const joseAlg: Readonly<Record<KeyAlg, string>> = { ed25519: "EdDSA", p256: "ES256" }

const malformed = (message: string) => Result.fail(new TokenMalformed({ message }))

/** Three non-empty canonical base64url segments; header `{alg, typ}`; payload one object; no duplicate names in either. */
export const parseToken = (token: string): Result.Result<CompactToken, TokenMalformed> => {
  const segments = token.split(".")
  const [headerBytes, payload, signature] = segments.map(decodeBase64url)
  if (segments.length !== 3 || segments.includes("")) return malformed("not three segments")
  if (headerBytes === undefined || payload === undefined || signature === undefined) {
    return malformed("a segment is not canonical base64url")
  }
  const header = Result.getOrUndefined(readJson(headerBytes))
  if (!isJsonObject(header)) return malformed("header is not a JSON object without duplicate names")
  const { alg, typ } = header
  if (Object.keys(header).length !== 2 || typeof alg !== "string" || typeof typ !== "string") {
    return malformed("header is not exactly alg and typ")
  }
  const claims = Result.getOrUndefined(readJson(payload))
  if (!isJsonObject(claims)) return malformed("payload is not a JSON object without duplicate names")
  const issuer = typeof claims["iss"] === "string" ? parseAid(claims["iss"]) : undefined
  return Result.succeed({
    alg,
    typ,
    claims,
    issuerKey: issuer && keyOfAid(issuer),
    signingInput: Buffer.from(token.slice(0, token.lastIndexOf(".")), "latin1"),
    signature
  })
}

/** True when the header's `alg` is the one that belongs to the key in `iss`. */
export const hasIssuerAlg = (token: CompactToken): boolean =>
  token.issuerKey !== undefined && token.alg === joseAlg[token.issuerKey.alg]

/** Checks the signature under the key in `iss`. False when there is no such key or `alg` is not its algorithm. */
export const isSignedByIssuer = (token: CompactToken): boolean => {
  const key = token.issuerKey
  if (key === undefined || !hasIssuerAlg(token)) return false
  const verify = key.alg === "ed25519" ? verifyEd25519 : verifyP256
  return verify(key.handle, token.signingInput, token.signature)
}

/** Signs claims: header members in the order alg, typ; payload canonical, so that equal claims give equal bytes. */
export const mintToken = (typ: string, claims: JsonObject, signer: Signer): string => {
  const header = `{"alg":"${joseAlg[signer.alg]}","typ":"${typ}"}`
  const signingInput = [header, canonicalJson(claims)]
    .map((part) => encodeBase64url(Buffer.from(part)))
    .join(".")
  return `${signingInput}.${encodeBase64url(signer.sign(Buffer.from(signingInput)))}`
}

/** What an observer who is not the audience can say about a reported token. */
export interface InspectedToken {
  readonly header: JsonObject
  /** `undefined` when the payload is not a JSON object without duplicate names. */
  readonly claims: JsonObject | undefined
  /**
   * The signature verifies under the key in `iss` and the header follows the profile. Says that the issuer made the
   * token; nothing about expiry, revocation, audience or trust.
   */
  readonly signatureVerified: boolean
}

const compactShape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * Recognises a compact JWS (three base64url segments, the first an object with `alg` or `typ`) and checks its signature
 * offline. Recognition is lenient, so that no spelling of a token escapes redaction; verification is strict.
 * `undefined` when the text is no token. Never throws.
 */
export const inspectToken = (text: string): InspectedToken | undefined => {
  if (!compactShape.test(text)) return undefined
  const [first = "", second = ""] = text.split(".")
  let header: unknown
  try {
    header = parseJson(Buffer.from(first, "base64url").toString())
  } catch {
    return undefined
  }
  if (!isJsonObject(header) || !(Object.hasOwn(header, "alg") || Object.hasOwn(header, "typ")))
    return undefined
  const token = parseToken(text)
  if (Result.isSuccess(token)) {
    return { header, claims: token.success.claims, signatureVerified: isSignedByIssuer(token.success) }
  }
  const claims = Result.getOrUndefined(readJson(Buffer.from(second, "base64url")))
  return { header, claims: isJsonObject(claims) ? claims : undefined, signatureVerified: false }
}
