// What TCT, voucher and delegation have in common: from compact text to claims whose signature has been checked.

import { Data, Result, type Schema } from "effect"
import { type Aid, keyOfAid } from "./aid.ts"
import { protocolVersion } from "./fields.ts"
import type { JsonObject } from "./json.ts"
import { type CompactToken, hasIssuerAlg, isSignedByIssuer, parseToken } from "./jws.ts"
import { structureReader } from "./structure.ts"

/** Codes of the AITP error registry that a token can fail with. The last two are drafts: only with multi-hop opted in. */
type TokenCode =
  | "TOKEN_TYP_MISMATCH"
  | "TOKEN_ALG_MISMATCH"
  | "UNKNOWN_VERSION"
  | "UNKNOWN_FIELD"
  | "AUDIENCE_MISMATCH"
  | "TCT_SIGNATURE_INVALID"
  | "TCT_EXPIRED"
  | "TCT_EXPIRES_AFTER_MANIFEST"
  | "TCT_REVOKED"
  | "DELEGATION_INVALID_SIGNATURE"
  | "DELEGATION_INVALID_VOUCHER"
  | "DELEGATION_AUDIENCE_MISMATCH"
  | "DELEGATION_EXPIRED"
  | "DELEGATION_SCOPE_EXCEEDED"
  | "DELEGATION_SOURCE_TCT_REVOKED"
  | "DELEGATION_POP_FAILED"
  | "DELEGATION_MULTIHOP_NOT_SUPPORTED"
  | "DELEGATION_HOP_LIMIT_EXCEEDED"
  | "DELEGATION_CHAIN_HASH_MISMATCH"

/** The first failure in protocol order. */
export class TokenRefused extends Data.TaggedError("TokenRefused")<{
  readonly code: TokenCode
  /** Short, safe to show: names claims and rules, never values. */
  readonly message: string
}> {}

export const refuseToken = (code: TokenCode, message: string) =>
  Result.fail(new TokenRefused({ code, message }))

interface TokenKind<S extends Schema.ConstraintDecoder<unknown>> {
  /** Exact value of the header member; compared case-sensitively and without `application/`. */
  readonly typ: string
  readonly claims: S
  /** Code of structural defects and bad signatures; the registry has no finer ones. */
  readonly invalid: TokenCode
  /** Codes of a wrong header, where the kind does not fold them into `invalid`. */
  readonly typMismatch: TokenCode
  readonly algMismatch: TokenCode
}

/** Checks a parsed token in protocol order: typ, alg, signature, version, structure, unknown claims. */
export const tokenReader = <S extends Schema.ConstraintDecoder<unknown>>(kind: TokenKind<S>) => {
  const readClaims = structureReader(kind.claims)
  return (token: CompactToken): Result.Result<S["Type"], TokenRefused> => {
    if (token.typ !== kind.typ) return refuseToken(kind.typMismatch, `typ is not ${kind.typ}`)
    if (token.issuerKey === undefined) return refuseToken(kind.invalid, "iss is not an AID")
    if (!hasIssuerAlg(token)) return refuseToken(kind.algMismatch, "alg is not the one of the key in iss")
    if (!isSignedByIssuer(token)) return refuseToken(kind.invalid, "signature does not verify under iss")
    if (typeof token.claims["ver"] === "string" && token.claims["ver"] !== protocolVersion) {
      return refuseToken("UNKNOWN_VERSION", `ver is not ${protocolVersion}`)
    }
    const claims = readClaims(token.claims)
    if (Result.isSuccess(claims)) return Result.succeed(claims.success)
    const { message, unknownField } = claims.failure
    return refuseToken(unknownField ? "UNKNOWN_FIELD" : kind.invalid, message)
  }
}

/** Parses compact text; a defect of form gets `code`. */
export const openToken = (text: string, code: TokenCode): Result.Result<CompactToken, TokenRefused> => {
  const token = parseToken(text)
  return Result.isSuccess(token) ? Result.succeed(token.success) : refuseToken(code, token.failure.message)
}

/** True when `cnf` binds the key of `subject` (RFC-AITP-0001 §5.4.4). */
export const confirms = (cnf: { readonly jkt: string }, subject: Aid): boolean =>
  cnf.jkt === keyOfAid(subject).thumbprint

/** True when every capability of `part` is in `whole`; capabilities have no hierarchy and no wildcards. */
export const isSubset = (part: ReadonlyArray<string>, whole: ReadonlyArray<string>): boolean => {
  const granted = new Set(whole)
  return part.every((capability) => granted.has(capability))
}

/** Claims as the JSON they are on the wire. */
export const asJson = (claims: object): JsonObject => claims as JsonObject // claim schemas hold nothing but JSON
