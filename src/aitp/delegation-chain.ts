// Multi-hop delegation (RFC-AITP-0011, draft, opt-in): A granted to B, B delegated to C, C to D, and so on.

import { Result } from "effect"
import { sameKey } from "./aid.ts"
import { encodeBase64url } from "./base64url.ts"
import type { DelegationClaims } from "./delegation.ts"
import { canonicalDigest } from "./jcs.ts"
import { sha256 } from "./sha256.ts"
import { isSubset, refuseToken, type TokenRefused } from "./token.ts"

export interface ChainPolicy {
  /** Hops from the root grant to the outer token, both included; the RFC's default is 3, i.e. one entry in `chain`. */
  readonly maxHops: number
}

/** `chain_hash` (§5): SHA-256 of the canonical array of the digests of the hops' compact texts, 43 characters. */
export const chainHash = (chain: ReadonlyArray<string>): string =>
  encodeBase64url(canonicalDigest(chain.map((hop) => encodeBase64url(sha256(hop)))))

/**
 * Checks that the earlier hops lead to `outer`: hash, then for each hop its own validity (`readHop`), unbroken delegators,
 * unique handles, nested chain equal to the prefix, no later expiry and no wider scope than the hop before. Returns the
 * claims of the earlier hops, oldest first; none for a single-hop token.
 */
export const verifyChain = (
  outer: DelegationClaims,
  readHop: (text: string) => Result.Result<DelegationClaims, TokenRefused>
): Result.Result<ReadonlyArray<DelegationClaims>, TokenRefused> => {
  const chain = outer.chain
  if (chain === undefined) return Result.succeed([])
  if (outer.chain_hash !== chainHash(chain)) {
    return refuseToken("DELEGATION_CHAIN_HASH_MISMATCH", "chain_hash is not the hash of chain")
  }
  const hops: Array<DelegationClaims> = []
  for (const text of chain) {
    const hop = readHop(text)
    if (Result.isFailure(hop)) return Result.fail(hop.failure)
    const { chain: nested = [], chain_hash: nestedHash } = hop.success
    const isPrefix = nested.length === hops.length && nested.every((entry, i) => entry === chain[i])
    if (!isPrefix || (nested.length > 0 && nestedHash !== chainHash(nested))) {
      return refuseToken("DELEGATION_CHAIN_HASH_MISMATCH", "a hop's own chain is not the chain before it")
    }
    hops.push(hop.success)
  }
  const all = [...hops, outer]
  if (all.some((hop) => hop.jti === undefined) || new Set(all.map((hop) => hop.jti)).size !== all.length) {
    return refuseToken("DELEGATION_INVALID_SIGNATURE", "every hop needs a jti of its own")
  }
  for (const [i, before] of hops.entries()) {
    const after = all[i + 1] ?? outer
    if (!sameKey(after.iss, before.sub)) {
      return refuseToken("DELEGATION_INVALID_SIGNATURE", "a hop was not made by the delegatee before it")
    }
    if (after.exp > before.exp) return refuseToken("DELEGATION_EXPIRED", "a hop outlives the one before it")
    if (!isSubset(after.scope, before.scope)) {
      return refuseToken("DELEGATION_SCOPE_EXCEEDED", "a hop widens the scope of the one before it")
    }
  }
  return Result.succeed(hops)
}
