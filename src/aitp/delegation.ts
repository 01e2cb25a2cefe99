// Delegation tokens (RFC-AITP-0006): B passes part of what A granted on to C; A verifies. Chains are in delegation-chain.ts.

import { Result, Schema } from "effect"
import { Aid, keyOfAid, sameKey } from "./aid.ts"
import { decodeBase64urlOf } from "./base64url.ts"
import { type ChainPolicy, verifyChain } from "./delegation-chain.ts"
import { Digest, Extensions, Grants, PositiveSeconds, Version } from "./fields.ts"
import { Jti } from "./ids.ts"
import { type CompactToken, mintToken } from "./jws.ts"
import { sha256 } from "./sha256.ts"
import { verifyDigest } from "./signature.ts"
import type { Signer } from "./signer.ts"
import { Confirmation } from "./tct.ts"
import {
  asJson,
  confirms,
  isSubset,
  openToken,
  refuseToken,
  tokenReader,
  type TokenRefused
} from "./token.ts"
import { readVoucher, type VoucherClaims } from "./voucher.ts"

/** Claims of a delegation token (§3): `voucher` on a single hop, `chain`, `chain_hash` and `jti` on a chain. */
export const DelegationClaims = Schema.Struct({
  ver: Version,
  /** The delegator, whose key signs the token. */
  iss: Aid,
  /** The delegatee; another principal than `iss`. */
  sub: Aid,
  /** Issuer of the root grant, the only one who can verify everything. */
  aud: Aid,
  /** Subset of what the delegator holds; at least one capability. */
  scope: Grants,
  /** Unix seconds; expired from this very second on. There is no `iat`. */
  exp: PositiveSeconds,
  /** Thumbprint of the key in `sub`. */
  cnf: Confirmation,
  /** A's voucher for the delegator, verbatim compact JWS. */
  voucher: Schema.optionalKey(Schema.String),
  /** Revocation handle of a hop; single-hop tokens have none (RFC-AITP-0011 §6). */
  jti: Schema.optionalKey(Jti),
  /** Earlier hops, verbatim, oldest first (RFC-AITP-0011 §4). */
  chain: Schema.optionalKey(
    Schema.Array(Schema.String).check(Schema.isMinLength(1, { expected: "at least one hop" }))
  ),
  /** {@link chainHash} of `chain`. */
  chain_hash: Schema.optionalKey(Digest),
  ext: Schema.optionalKey(Extensions)
}).check(
  Schema.makeFilter((claims) => (claims.chain === undefined) === (claims.voucher !== undefined), {
    expected: "either voucher or chain"
  })
)
export type DelegationClaims = typeof DelegationClaims.Type

const typ = "aitp-delegation+jwt"

const read = tokenReader({
  typ,
  claims: DelegationClaims,
  invalid: "DELEGATION_INVALID_SIGNATURE",
  typMismatch: "TOKEN_TYP_MISMATCH",
  algMismatch: "TOKEN_ALG_MISMATCH"
})

export interface VerifyDelegationOptions {
  /** Unix seconds. */
  readonly now: number
  /** The verifier (A); either spelling. */
  readonly self: Aid
  /** Asked only after every signature has verified (RFC-AITP-0008 §3.3); `issuer` is who alone could have revoked it. */
  readonly isRevoked?: (issuer: Aid, jti: Jti) => boolean
  /** The delegatee's answer to a challenge (both 22 and 86 characters as on the wire). Not checked when absent. */
  readonly proof?: { readonly challenge: string; readonly signature: string }
  /** Opts in to RFC-AITP-0011 (draft). Without it every token with a `chain` is refused before other work. */
  readonly multihop?: ChainPolicy
}

interface VerifiedDelegation {
  readonly claims: DelegationClaims
  readonly voucher: VoucherClaims
  /** Capabilities the delegatee may use. */
  readonly grants: ReadonlyArray<string>
}

/** Checks what one delegation token says by itself. */
const readHop = (
  token: CompactToken,
  self: Aid,
  now: number
): Result.Result<DelegationClaims, TokenRefused> => {
  const checked = read(token)
  if (Result.isFailure(checked)) return checked
  const claims = checked.success
  if (!confirms(claims.cnf, claims.sub)) {
    return refuseToken("DELEGATION_INVALID_SIGNATURE", "cnf is not the key of sub")
  }
  if (!sameKey(claims.aud, self)) {
    return refuseToken("DELEGATION_AUDIENCE_MISMATCH", "aud is not the verifier")
  }
  if (claims.exp <= now) return refuseToken("DELEGATION_EXPIRED", "exp has passed")
  return checked
}

/**
 * Verifies a delegation token as the issuer of the root grant (§4): form, signature, audience, expiry, chain if opted in,
 * voucher, window, scope, revocation, no self-delegation, proof of possession. Never throws.
 */
export const verifyDelegation = (
  text: string,
  options: VerifyDelegationOptions
): Result.Result<VerifiedDelegation, TokenRefused> => {
  const { isRevoked, multihop, now, proof, self } = options
  const token = openToken(text, "DELEGATION_INVALID_SIGNATURE")
  if (Result.isFailure(token)) return Result.fail(token.failure)
  const chain = token.success.claims["chain"]
  if (chain !== undefined && multihop === undefined) {
    return refuseToken("DELEGATION_MULTIHOP_NOT_SUPPORTED", "token carries a chain")
  }
  // Counted before any signature is checked: the work below grows with the chain.
  if (multihop !== undefined && Array.isArray(chain) && chain.length + 2 > multihop.maxHops) {
    return refuseToken("DELEGATION_HOP_LIMIT_EXCEEDED", `more than ${multihop.maxHops} hops`)
  }
  const outer = readHop(token.success, self, now)
  if (Result.isFailure(outer)) return Result.fail(outer.failure)
  const claims = outer.success

  const earlier = verifyChain(claims, (hop) => {
    const opened = openToken(hop, "DELEGATION_INVALID_SIGNATURE")
    return Result.isSuccess(opened) ? readHop(opened.success, self, now) : Result.fail(opened.failure)
  })
  if (Result.isFailure(earlier)) return Result.fail(earlier.failure)
  const hops = [...earlier.success, claims]
  const root = hops[0] ?? claims

  const read = readVoucher(root.voucher ?? "", self)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const voucher = read.success
  if (!sameKey(voucher.sub, root.iss)) {
    return refuseToken("DELEGATION_INVALID_VOUCHER", "voucher was not issued to the delegator")
  }
  if (voucher.exp <= now) return refuseToken("DELEGATION_EXPIRED", "voucher exp has passed")
  if (root.exp > voucher.exp) return refuseToken("DELEGATION_EXPIRED", "exp is after the voucher's")
  if (!isSubset(root.scope, voucher.grants)) {
    return refuseToken("DELEGATION_SCOPE_EXCEEDED", "scope is not within the voucher's grants")
  }
  if (isRevoked !== undefined) {
    const revocable = hops.flatMap(({ iss, jti }) => (jti === undefined ? [] : [[iss, jti] as const]))
    if (isRevoked(voucher.iss, voucher.src_jti) || revocable.some(([iss, jti]) => isRevoked(iss, jti))) {
      return refuseToken("DELEGATION_SOURCE_TCT_REVOKED", "source grant or a hop is revoked")
    }
  }
  if (hops.some((hop) => sameKey(hop.iss, hop.sub))) {
    return refuseToken("DELEGATION_INVALID_SIGNATURE", "delegator and delegatee are one principal")
  }
  if (proof !== undefined) {
    const challenge = decodeBase64urlOf(16, proof.challenge)
    if (!challenge || !verifyDigest(keyOfAid(claims.sub), sha256(challenge), proof.signature)) {
      return refuseToken("DELEGATION_POP_FAILED", "proof does not verify under the delegatee's key")
    }
  }
  return Result.succeed({ claims, voucher, grants: claims.scope })
}

/** Signs a delegation token. For tests and tools: this service issues none. */
export const mintDelegation = (claims: DelegationClaims, signer: Signer): string =>
  mintToken(typ, asJson(claims), signer)
