// Members that several artifacts share.

import { Schema } from "effect"
import { decodeBase64urlOf } from "./base64url.ts"
import { isJsonObject, type JsonObject } from "./json.ts"
import { signaturePattern } from "./signature.ts"

/** The protocol literal of every artifact (RFC-AITP-0001 §5.1). */
export const protocolVersion = "aitp/0.2"

export const Version = Schema.Literal(protocolVersion)

/** Unix time in whole seconds, 0 or later. */
export const Seconds = Schema.Int.check(
  Schema.isGreaterThanOrEqualTo(0, { expected: "Unix seconds, 0 or later" })
)

/** Unix time in whole seconds, 1 or later. */
export const PositiveSeconds = Schema.Int.check(
  Schema.isGreaterThanOrEqualTo(1, { expected: "Unix seconds, 1 or later" })
)

/** No item twice. Own check because `Schema.isUnique` compares all pairs, and the arrays come from anybody. */
export const isUniqueList = Schema.makeFilter(
  (items: ReadonlyArray<string>) => new Set(items).size === items.length,
  { expected: "no item twice" }
)

/** Opaque, non-empty, no whitespace; compared as a whole (RFC-AITP-0001 §6). */
const Capability = Schema.String.check(
  Schema.isPattern(/^[^\s]+$/u, { expected: "a capability without whitespace" })
)

/** Capabilities without repeats; may be empty. */
export const Capabilities = Schema.Array(Capability).check(isUniqueList)

/** Granted or delegated capabilities: at least one (RFC-AITP-0004 §4.1). */
export const Grants = Capabilities.check(Schema.isMinLength(1, { expected: "at least one capability" }))

/** An absolute URI as RFC 3986 spells it. Only checked, never normalised: the text is part of what is signed. */
export const Uri = Schema.String.check(
  Schema.isPattern(/^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/u, {
    expected: "an absolute URI"
  })
)

/** `[<alg>.]<86 characters>`; whether it verifies is another question. */
export const SignatureText = Schema.String.check(
  Schema.isPattern(signaturePattern, { expected: "a signature" })
)

/** 16 random bytes, 22 characters. */
export const Challenge = Schema.String.check(
  Schema.makeFilter((text: string) => decodeBase64urlOf(16, text) !== undefined, {
    expected: "16 bytes in base64url"
  })
)

/** A SHA-256 value: 32 bytes, 43 characters. */
export const Digest = Schema.String.check(
  Schema.makeFilter((text: string) => decodeBase64urlOf(32, text) !== undefined, {
    expected: "32 bytes in base64url"
  })
)

/** `extensions` and `ext`: an object whose members are signed, kept, and never decide anything (RFC-AITP-0012). */
export const Extensions = Schema.declare((value): value is JsonObject => isJsonObject(value), {
  expected: "an object"
})
