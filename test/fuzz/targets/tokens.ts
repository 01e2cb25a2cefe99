import { Result } from "effect"
import { parseAid } from "../../../src/aitp/aid.ts"
import { verifyDelegation } from "../../../src/aitp/delegation.ts"
import { inspectToken, parseToken } from "../../../src/aitp/jws.ts"
import { verifyTct } from "../../../src/aitp/tct.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintDelegation, mintTct, mintVoucher } from "../../support/aitp/mint-tokens.ts"
import { readVector } from "../../support/aitp/vectors.ts"
import { assertThat, type Target } from "../target.ts"

const edge = readVector<{
  now: number
  expected_audience: string
  vectors: ReadonlyArray<{ token: string }>
}>("edge/jws-edge.json")
const [alice, bob, carol] = [makeAgent(), makeAgent({ form: "p256" }), makeAgent({ form: "ed25519" })]
const audience = parseAid(edge.expected_audience) ?? alice.aid

// The same in every run: Ed25519 and deterministic ECDSA, and nothing taken from clock or dice.
const time = { iat: edge.now, exp: edge.now + 3600 }
const jti = "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab"
const voucher = mintVoucher(alice, bob, { ...time, src_jti: jti }).token

const seeds = [
  ...edge.vectors.map(({ token }) => token),
  mintTct(alice, bob, { ...time, jti }).token,
  mintTct(bob, alice, { ...time, jti }).token,
  voucher,
  mintDelegation(alice, bob, carol, { exp: edge.now + 600, voucher }).token
]

/** Texts that their issuer signed: nobody can make another one that verifies. */
const signed = new Set(seeds)

const segment = (text: string): string => Buffer.from(text).toString("base64url")

// Messages may name members of the input, which would all be new outcomes.
const codeOf = (result: Result.Result<unknown, { readonly code: string; readonly message: string }>) =>
  Result.isSuccess(result) ? "good" : `${result.failure.code} ${result.failure.message.slice(0, 14)}`

/** Compact tokens: nothing but what was signed verifies, and what verifies is recognised. */
export const tokens: Target = {
  name: "tokens",
  seeds,
  dictionary: [
    ".",
    segment('{"alg":"none"}'),
    segment('{"alg":"EdDSA","typ":"aitp-tct+jwt"}'),
    segment('{"alg":"ES256","typ":"aitp-tct+jwt"}'),
    segment('{"typ":"JWT"}'),
    segment("{}"),
    "A",
    "=",
    "A".repeat(86)
  ],
  run: (input) => {
    const inspected = inspectToken(input)
    const parsed = parseToken(input)
    assertThat(Result.isFailure(parsed) || inspected !== undefined, "what has the form is recognised")
    const isSigned = inspected?.signatureVerified === true
    assertThat(!isSigned || signed.has(input), "nothing verifies but what was signed")
    const tct = verifyTct(input, { audience, now: edge.now })
    const delegation = verifyDelegation(input, { now: edge.now, self: alice.aid })
    assertThat(Result.isFailure(tct) || isSigned, "a good TCT is signed")
    assertThat(Result.isFailure(delegation) || isSigned, "a good delegation is signed")
    return `${inspected === undefined ? "no token" : isSigned}, ${codeOf(tct)}, ${codeOf(delegation)}`
  }
}
