import { randomUUID } from "node:crypto"
import { Schema } from "effect"
import { keyOfAid } from "../../../src/aitp/aid.ts"
import * as delegation from "../../../src/aitp/delegation.ts"
import { Jti } from "../../../src/aitp/ids.ts"
import * as tct from "../../../src/aitp/tct.ts"
import * as voucher from "../../../src/aitp/voucher.ts"
import type { TestAgent } from "./agent.ts"

export interface Minted<Claims> {
  readonly token: string
  readonly claims: Claims
}

// Overrides may be offences on purpose, hence the loose type beside the exact one; all of them are signed.
type Overrides<Claims> = Partial<Claims> | Readonly<Record<string, unknown>>

export const newJti = (): Jti => Schema.decodeSync(Jti)(randomUUID())

const nowSecs = () => Math.floor(Date.now() / 1000)

/** A TCT valid for an hour from now, issued by `issuer` to `subject`. */
export const mintTct = (
  issuer: TestAgent,
  subject: TestAgent,
  overrides: Overrides<tct.TctClaims> = {}
): Minted<tct.TctClaims> => {
  const iat = nowSecs()
  const claims: tct.TctClaims = {
    ver: "aitp/0.2",
    jti: newJti(),
    iss: issuer.aid,
    sub: subject.aid,
    aud: subject.aid,
    iat,
    exp: iat + 3600,
    grants: ["demo.echo"],
    cnf: { jkt: keyOfAid(subject.aid).thumbprint },
    ...overrides
  }
  return { token: tct.mintTct(claims, issuer), claims }
}

/** The voucher that goes with a TCT of `issuer` to `subject`. */
export const mintVoucher = (
  issuer: TestAgent,
  subject: TestAgent,
  overrides: Overrides<voucher.VoucherClaims> = {}
): Minted<voucher.VoucherClaims> => {
  const iat = nowSecs()
  const claims: voucher.VoucherClaims = {
    ver: "aitp/0.2",
    iss: issuer.aid,
    sub: subject.aid,
    grants: ["demo.echo", "demo.read"],
    iat,
    exp: iat + 3600,
    src_jti: newJti(),
    ...overrides
  }
  return { token: voucher.mintVoucher(claims, issuer), claims }
}

/** A single-hop delegation of `demo.echo` from `delegator` to `delegatee`, to be verified by `root`. */
export const mintDelegation = (
  root: TestAgent,
  delegator: TestAgent,
  delegatee: TestAgent,
  overrides: Overrides<delegation.DelegationClaims> = {}
): Minted<delegation.DelegationClaims> => {
  const { voucher: _, ...claims }: delegation.DelegationClaims = {
    ver: "aitp/0.2",
    iss: delegator.aid,
    sub: delegatee.aid,
    aud: root.aid,
    scope: ["demo.echo"],
    exp: nowSecs() + 1800,
    cnf: { jkt: keyOfAid(delegatee.aid).thumbprint },
    ...overrides
  }
  // A chain brings its voucher in its first hop; everything else needs one of its own.
  const given = overrides.voucher
  const carried =
    claims.chain !== undefined
      ? {}
      : { voucher: typeof given === "string" ? given : mintVoucher(root, delegator).token }
  const complete: delegation.DelegationClaims = { ...claims, ...carried }
  return { token: delegation.mintDelegation(complete, delegator), claims: complete }
}
