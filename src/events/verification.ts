import { inspectToken } from "../aitp/jws.ts"
import { deeperThan, MAX_ITEM_DEPTH } from "./depth.ts"
import { Tokens } from "./tokens.ts"

/** Finds the tokens of reported items. Items that are nested too deep, which are dropped anyway, are not looked into. */
export const findTokens = (items: ReadonlyArray<unknown>): Tokens => {
  const tokens = new Tokens()
  for (const item of items) if (!deeperThan(MAX_ITEM_DEPTH, item)) tokens.redact(item)
  return tokens
}

/** Whether a token's signature verifies under the key in its `iss`. */
export const isVerified = (token: string): boolean => inspectToken(token)?.signatureVerified === true

/** Finds the tokens of reported items and checks their signatures, about 0.1 ms each. */
export const inspectTokens = (items: ReadonlyArray<unknown>): Tokens => {
  const tokens = findTokens(items)
  for (const text of tokens.toVerify()) tokens.settle(text, isVerified(text))
  return tokens
}
