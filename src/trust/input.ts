import { Schema } from "effect"
import { MAX_NAMESPACE } from "../registry/namespace.ts"
import { MAX_LABEL, MAX_URL } from "./model.ts"

/** Empty counts as absent. */
export const Namespace = Schema.String.check(Schema.isMaxCodePoints(MAX_NAMESPACE))

export const Label = Schema.String.check(Schema.isMaxCodePoints(MAX_LABEL))

/** An issuer as tokens name it: nothing but its beginning and size is checked, since it is compared verbatim. */
export const IssuerUrl = Schema.String.check(
  Schema.isPattern(/^https?:\/\//u, { expected: "a text that begins with https:// or http://" }),
  Schema.isMaxCodePoints(MAX_URL),
  Schema.makeFilter((text: string) => Buffer.byteLength(text) <= MAX_URL, {
    expected: `at most ${MAX_URL} bytes`
  })
)

const isHttpUrl = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && /^https?:\/\//iu.test(text) && url.username === "" && url.password === ""
}

/** Where a key set is. It is shown to whoever may read anchors, so it must not hold credentials. */
const JwksUrl = Schema.String.check(
  Schema.makeFilter((text: string) => text === "" || isHttpUrl(text), {
    expected: "an http or https URL without credentials"
  }),
  Schema.isMaxCodePoints(MAX_URL)
)

/** Null and the empty text: none. */
export const OptionalJwksUrl = Schema.NullOr(JwksUrl)
