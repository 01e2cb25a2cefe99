// Trust Context Token (RFC-AITP-0005): what an agent (`iss`) grants to a peer (`sub`) after a handshake.

import { Result, Schema } from "effect"
import { Aid, sameKey } from "./aid.ts"
import { Digest, Extensions, Grants, PositiveSeconds, Seconds, Version } from "./fields.ts"
import { Jti } from "./ids.ts"
import { mintToken } from "./jws.ts"
import type { Signer } from "./signer.ts"
import { asJson, confirms, openToken, refuseToken, tokenReader, type TokenRefused } from "./token.ts"

/** RFC 7800 confirmation, thumbprint form only (RFC-AITP-0001 §5.4.4). */
export const Confirmation = Schema.Struct({
  /** RFC 7638 thumbprint of the bound key, 43 characters. */
  jkt: Digest
})

/** Claims of a TCT (§3). */
export const TctClaims = Schema.Struct({
  ver: Version,
  /** Revocation handle; unique per issuer at best. */
  jti: Jti,
  /** Whose key signs it, and who alone can revoke it. */
  iss: Aid,
  /** To whom it was issued. */
  sub: Aid,
  /** One AID, the same principal as `sub`. */
  aud: Aid,
  /** Issued at, Unix seconds. */
  iat: Seconds,
  /** Unix seconds; expired from this very second on. No leeway. */
  exp: PositiveSeconds,
  /** At least one capability, none twice. */
  grants: Grants,
  /** Thumbprint of the key in `sub`. */
  cnf: Confirmation,
  /** Signed and kept, ignored in decisions. */
  ext: Schema.optionalKey(Extensions)
})
export type TctClaims = typeof TctClaims.Type

const typ = "aitp-tct+jwt"

const read = tokenReader({
  typ,
  claims: TctClaims,
  invalid: "TCT_SIGNATURE_INVALID",
  typMismatch: "TOKEN_TYP_MISMATCH",
  algMismatch: "TOKEN_ALG_MISMATCH"
})

export interface VerifyTctOptions {
  /** Unix seconds. */
  readonly now: number
  /** AID of the consuming peer; either spelling. */
  readonly audience: Aid
  /** `expires_at` of the issuer's Manifest, when that is at hand: `exp` may not lie behind it (§3). */
  readonly issuerManifestExpiresAt?: number
  /** Asked last and at most once, only about a token that is good otherwise (RFC-AITP-0008 §3.3). */
  readonly isRevoked?: (issuer: Aid, jti: Jti) => boolean
}

/**
 * Verifies a TCT as its audience would (§5): form, typ, alg, signature, claims, expiry, revocation. Structural defects and
 * a foreign `cnf` share `TCT_SIGNATURE_INVALID`. Never throws.
 */
export const verifyTct = (
  text: string,
  options: VerifyTctOptions
): Result.Result<TctClaims, TokenRefused> => {
  const token = openToken(text, "TCT_SIGNATURE_INVALID")
  if (Result.isFailure(token)) return Result.fail(token.failure)
  const checked = read(token.success)
  if (Result.isFailure(checked)) return checked
  const claims = checked.success
  if (!confirms(claims.cnf, claims.sub)) {
    return refuseToken("TCT_SIGNATURE_INVALID", "cnf is not the key of sub")
  }
  if (!sameKey(claims.aud, claims.sub) || !sameKey(claims.aud, options.audience)) {
    return refuseToken("AUDIENCE_MISMATCH", "aud is not sub or not the verifier")
  }
  if (claims.exp <= options.now) return refuseToken("TCT_EXPIRED", "exp has passed")
  if (options.issuerManifestExpiresAt !== undefined && claims.exp > options.issuerManifestExpiresAt) {
    return refuseToken("TCT_EXPIRES_AFTER_MANIFEST", "exp is after the issuer's Manifest expires")
  }
  if (options.isRevoked?.(claims.iss, claims.jti) === true) {
    return refuseToken("TCT_REVOKED", "revoked by its issuer")
  }
  return checked
}

/** Signs a TCT. For tests and tools: this service issues none. */
export const mintTct = (claims: TctClaims, signer: Signer): string => mintToken(typ, asJson(claims), signer)
