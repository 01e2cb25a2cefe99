// RFC-AITP-0001 §5.4: unpadded base64url. The runtime's decoder skips what it does not know (padding, whitespace,
// "+/", stray trailing bits), which would give one signature or key several spellings, so all of that is refused first.

const alphabet = /^[A-Za-z0-9_-]*$/

// A final group of 2 or 3 characters carries 4 or 2 bits that encode nothing; only the spelling with zeros is canonical.
const endsCanonically = [/^/, /(?!)/, /[AQgw]$/, /[AEIMQUYcgkosw048]$/] as const

/** Encodes bytes as unpadded base64url. */
export const encodeBase64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url")

/** Decodes canonical unpadded base64url; `undefined` for every other spelling. The empty string is zero bytes. */
export const decodeBase64url = (text: string): Uint8Array | undefined => {
  const rest = (text.length % 4) as 0 | 1 | 2 | 3 // a remainder by 4 of a length
  return alphabet.test(text) && endsCanonically[rest].test(text) ? Buffer.from(text, "base64url") : undefined
}

/** Like {@link decodeBase64url}, for a value of exactly `length` bytes (32: 43 characters, 33: 44, 64: 86, 16: 22). */
export const decodeBase64urlOf = (length: number, text: string): Uint8Array | undefined =>
  text.length === Math.ceil((length * 4) / 3) ? decodeBase64url(text) : undefined
