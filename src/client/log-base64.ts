// Standard base64 with padding (RFC 4648 §4), which the formats of transparency logs use. Canonical spelling only.

import { decodeBase64url, encodeBase64url } from "./base64url.ts"

export const encodeBase64 = (bytes: Uint8Array): string => {
  const text = encodeBase64url(bytes).replaceAll("-", "+").replaceAll("_", "/")
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=")
}

/** Undefined for every other spelling. */
export const decodeBase64 = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const bytes = decodeBase64url(
    text
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/={1,2}$/, "")
  )
  return bytes !== undefined && encodeBase64(bytes) === text ? bytes : undefined
}

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at])
