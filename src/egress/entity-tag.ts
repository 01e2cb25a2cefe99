import type { OutboundResponse } from "./model.ts"

/** A tag that can be sent back (RFC 9110 §8.8.3), of a sane size. */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e]{0,256}"$/u

/** The answer's entity tag, to ask with `if-none-match` next time; null without a usable one. */
export const entityTagOf = ({ headers }: OutboundResponse): string | null => {
  const tag = headers.get("etag")
  return tag !== undefined && ENTITY_TAG.test(tag) ? tag : null
}
