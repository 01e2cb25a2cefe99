import { randomBytes } from "node:crypto"
import { Redacted } from "effect"

/** Signing secrets in the form of Standard Webhooks: `whsec_` and the base64 of the key. Any other text is one, too. */

const PREFIX = "whsec_"
const KEY_BYTES = 32

export const generateSecret = (): Redacted.Redacted<string> =>
  Redacted.make(`${PREFIX}${randomBytes(KEY_BYTES).toString("base64")}`)

/** Shorter secrets have no hint: it would give away too much of them. */
const MIN_HINTED = 8

/** The last four characters, by which an operator tells secrets apart; empty for a secret of less than eight. */
export const secretHint = (secret: Redacted.Redacted<string>): string => {
  const characters = [...Redacted.value(secret)]
  return characters.length < MIN_HINTED ? "" : characters.slice(-4).join("")
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The HMAC key of a secret: what follows `whsec_`, decoded; of a text that is not of this form its UTF-8 bytes. */
export const signingKey = (secret: Redacted.Redacted<string>): Buffer => {
  const text = Redacted.value(secret)
  const encoded = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ""
  return encoded !== "" && BASE64.test(encoded) ? Buffer.from(encoded, "base64") : Buffer.from(text)
}
