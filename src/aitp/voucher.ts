// Grant voucher (RFC-AITP-0005 §8): travels with a TCT and lets its subject delegate; only its issuer verifies it.

import { Result, Schema } from "effect"
import { Aid, sameKey } from "./aid.ts"
import { Extensions, Grants, PositiveSeconds, Seconds, Version } from "./fields.ts"
import { Jti } from "./ids.ts"
import { mintToken } from "./jws.ts"
import type { Signer } from "./signer.ts"
import { asJson, openToken, refuseToken, tokenReader, type TokenRefused } from "./token.ts"

/** Claims of a voucher; equal to those of the companion TCT, whose `jti` is `src_jti`. */
export const VoucherClaims = Schema.Struct({
  ver: Version,
  iss: Aid,
  sub: Aid,
  grants: Grants,
  /** Unix seconds. */
  iat: Seconds,
  /** Unix seconds; expired from this very second on. */
  exp: PositiveSeconds,
  src_jti: Jti,
  ext: Schema.optionalKey(Extensions)
})
export type VoucherClaims = typeof VoucherClaims.Type

const typ = "aitp-grant+jwt"

const read = tokenReader({
  typ,
  claims: VoucherClaims,
  invalid: "DELEGATION_INVALID_VOUCHER",
  typMismatch: "DELEGATION_INVALID_VOUCHER",
  algMismatch: "DELEGATION_INVALID_VOUCHER"
})

interface VerifyVoucherOptions {
  /** Unix seconds. */
  readonly now: number
  /** The verifier, which must be the issuer; either spelling. */
  readonly self: Aid
}

/** Verifies a voucher as its issuer would: form, typ, alg, signature, claims, own issue, expiry. Never throws. */
export const verifyVoucher = (
  text: string,
  options: VerifyVoucherOptions
): Result.Result<VoucherClaims, TokenRefused> => {
  const claims = readVoucher(text, options.self)
  return Result.isSuccess(claims) && claims.success.exp <= options.now
    ? refuseToken("DELEGATION_EXPIRED", "voucher exp has passed")
    : claims
}

/** The same without expiry, which inside a delegation has its own place in the order. */
export const readVoucher = (text: string, self: Aid): Result.Result<VoucherClaims, TokenRefused> => {
  const token = openToken(text, "DELEGATION_INVALID_VOUCHER")
  if (Result.isFailure(token)) return Result.fail(token.failure)
  const claims = read(token.success)
  return Result.isSuccess(claims) && !sameKey(claims.success.iss, self)
    ? refuseToken("DELEGATION_INVALID_VOUCHER", "voucher is not the verifier's own")
    : claims
}

/** Signs a voucher. For tests and tools: this service issues none. */
export const mintVoucher = (claims: VoucherClaims, signer: Signer): string =>
  mintToken(typ, asJson(claims), signer)
