// Unpadded base64url with what every runtime has. Canonical spelling only, as in RFC-AITP-0001 §5.4: `atob` takes padding,
// white space and stray trailing bits, so what it read is written again and compared.

const alphabet = /^[A-Za-z0-9_-]*$/

// `String.fromCharCode` takes its characters as arguments, of which there may not be arbitrarily many.
const PIECE = 0x8000

/** Encodes bytes as unpadded base64url. */
export const encodeBase64url = (bytes: Uint8Array): string => {
  let binary = ""
  for (let at = 0; at < bytes.length; at += PIECE) {
    binary += String.fromCharCode(...bytes.subarray(at, at + PIECE))
  }
  return btoa(binary)
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/={1,2}$/, "")
}

/** Decodes canonical unpadded base64url; `undefined` for every other spelling. */
export const decodeBase64url = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  if (!alphabet.test(text) || text.length % 4 === 1) return undefined
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at)
  return encodeBase64url(bytes) === text ? bytes : undefined
}
