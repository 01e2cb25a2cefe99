import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { formatAid, keyOfAid } from "../../../src/aitp/aid.ts"
import { verifyDelegation, type VerifyDelegationOptions } from "../../../src/aitp/delegation.ts"
import { chainHash } from "../../../src/aitp/delegation-chain.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { signDigest } from "../../../src/aitp/signature.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintDelegation, mintTct, mintVoucher, newJti } from "../../support/aitp/mint-tokens.ts"

const now = 1711900100
const [a, b, c, d] = [makeAgent(), makeAgent(), makeAgent({ alg: "p256" }), makeAgent()] as const

const codeOf = (token: string, options: Partial<VerifyDelegationOptions> = {}) =>
  Result.match(verifyDelegation(token, { now, self: a.aid, ...options }), {
    onFailure: ({ code }) => code,
    onSuccess: () => "ok"
  })

const voucherOf = (overrides: object = {}, issuer: TestAgent = a, subject: TestAgent = b) =>
  mintVoucher(issuer, subject, { iat: now, exp: now + 100, ...overrides }).token

const code = (overrides: object, options: Partial<VerifyDelegationOptions> = {}) =>
  codeOf(mintDelegation(a, b, c, { exp: now + 50, voucher: voucherOf(), ...overrides }).token, options)

describe("verifyDelegation, single hop", () => {
  it("grants the scope of a good token", () => {
    const { token } = mintDelegation(a, b, c, { exp: now + 50, voucher: voucherOf() })
    assert.deepStrictEqual(Result.getOrThrow(verifyDelegation(token, { now, self: a.aid })).grants, [
      "demo.echo"
    ])
  })

  it("reports each defect by its code", () => {
    const rows: ReadonlyArray<readonly [string, object, string]> = [
      ["other audience", { aud: d.aid }, "DELEGATION_AUDIENCE_MISMATCH"],
      ["expired", { exp: now }, "DELEGATION_EXPIRED"],
      ["foreign voucher", { voucher: voucherOf({}, d) }, "DELEGATION_INVALID_VOUCHER"],
      ["someone else's voucher", { voucher: voucherOf({}, a, d) }, "DELEGATION_INVALID_VOUCHER"],
      ["a TCT for a voucher", { voucher: mintTct(a, b).token }, "DELEGATION_INVALID_VOUCHER"],
      ["expired voucher", { voucher: voucherOf({ exp: now }) }, "DELEGATION_EXPIRED"],
      ["outlives the voucher", { exp: now + 101 }, "DELEGATION_EXPIRED"],
      ["wider scope", { scope: ["demo.echo", "demo.admin"] }, "DELEGATION_SCOPE_EXCEEDED"],
      ["prefix of a grant", { scope: ["demo"] }, "DELEGATION_SCOPE_EXCEEDED"],
      ["no scope", { scope: [] }, "DELEGATION_INVALID_SIGNATURE"],
      ["cnf of another key", { cnf: { jkt: keyOfAid(d.aid).thumbprint } }, "DELEGATION_INVALID_SIGNATURE"],
      ["unknown version", { ver: "aitp/0.3" }, "UNKNOWN_VERSION"],
      ["unknown claim", { iat: now }, "UNKNOWN_FIELD"],
      ["a chain", { chain: ["e30.e30.e30"] }, "DELEGATION_MULTIHOP_NOT_SUPPORTED"],
      ["a chain that is none", { chain: null }, "DELEGATION_MULTIHOP_NOT_SUPPORTED"]
    ]
    for (const [name, overrides, expected] of rows) assert.strictEqual(code(overrides), expected, name)
  })

  it("does not let an agent delegate to its own other spelling", () => {
    const other = { ...b, aid: formatAid("ed25519", b.raw, "ed25519") }
    const { token } = mintDelegation(a, b, other, { exp: now + 50, voucher: voucherOf() })
    assert.strictEqual(codeOf(token), "DELEGATION_INVALID_SIGNATURE")
  })

  it("refuses forged outer tokens before asking about revocation", () => {
    let asked = 0
    const isRevoked = () => ++asked > 0
    const forged = mintDelegation(a, { ...d, aid: b.aid }, c, { exp: now + 50, voucher: voucherOf() }).token
    assert.strictEqual(codeOf(forged, { isRevoked }), "DELEGATION_INVALID_SIGNATURE")
    assert.strictEqual(
      code({ voucher: voucherOf({}, { ...d, aid: a.aid }) }, { isRevoked }),
      "DELEGATION_INVALID_VOUCHER"
    )
    assert.strictEqual(asked, 0)
    assert.strictEqual(code({}, { isRevoked }), "DELEGATION_SOURCE_TCT_REVOKED")
  })

  it("checks the delegatee's proof when there is one", () => {
    const challenge = "AAECAwQFBgcICQoLDA0ODw"
    const digest = sha256(Buffer.from(challenge, "base64url"))
    assert.strictEqual(code({}, { proof: { challenge, signature: signDigest(c, digest) } }), "ok")
    for (const proof of [
      { challenge, signature: signDigest(b, digest) },
      { challenge, signature: signDigest(c, sha256(challenge)) },
      { challenge: `${challenge}A`, signature: signDigest(c, digest) }
    ]) {
      assert.strictEqual(code({}, { proof }), "DELEGATION_POP_FAILED")
    }
  })
})

/** B to C, with the voucher of A for B. */
const first = (overrides: object = {}) =>
  mintDelegation(a, b, c, { jti: newJti(), exp: now + 50, voucher: voucherOf(), ...overrides }).token

/** C to D, after `chain`. */
const second = (chain: ReadonlyArray<string>, overrides: object = {}) =>
  mintDelegation(a, c, d, {
    jti: newJti(),
    exp: now + 40,
    chain,
    chain_hash: chainHash(chain),
    ...overrides
  }).token

describe("verifyDelegation, multi-hop", () => {
  const multihop = { maxHops: 3 }
  it("accepts an unbroken chain within the limit and nothing beyond it", () => {
    const token = second([first()])
    assert.strictEqual(codeOf(token, { multihop }), "ok")
    assert.strictEqual(codeOf(token), "DELEGATION_MULTIHOP_NOT_SUPPORTED")
    assert.strictEqual(codeOf(token, { multihop: { maxHops: 2 } }), "DELEGATION_HOP_LIMIT_EXCEEDED")

    const e = makeAgent()
    const chain = [first(), ""]
    chain[1] = second([chain[0] ?? ""])
    const third = mintDelegation(a, d, e, {
      jti: newJti(),
      exp: now + 30,
      chain,
      chain_hash: chainHash(chain)
    }).token
    assert.strictEqual(codeOf(third, { multihop }), "DELEGATION_HOP_LIMIT_EXCEEDED")
    assert.strictEqual(codeOf(third, { multihop: { maxHops: 4 } }), "ok")
  })

  it("counts hops before it checks any signature", () => {
    const chain = Array.from({ length: 10_000 }, () => "e30.e30.e30")
    assert.strictEqual(codeOf(second(chain), { multihop }), "DELEGATION_HOP_LIMIT_EXCEEDED")
  })

  it("refuses chains that do not lead to the token", () => {
    const jti = newJti()
    const chain = [first()]
    const rows: ReadonlyArray<readonly [string, string, string]> = [
      ["other hash", second(chain, { chain_hash: chainHash([]) }), "DELEGATION_CHAIN_HASH_MISMATCH"],
      [
        "no hash",
        mintDelegation(a, c, d, { jti: newJti(), exp: now + 40, chain }).token,
        "DELEGATION_CHAIN_HASH_MISMATCH"
      ],
      ["swapped hop", second([first()], { chain_hash: chainHash(chain) }), "DELEGATION_CHAIN_HASH_MISMATCH"],
      [
        "gap in delegators",
        mintDelegation(a, d, makeAgent(), {
          jti: newJti(),
          exp: now + 1,
          chain,
          chain_hash: chainHash(chain)
        }).token,
        "DELEGATION_INVALID_SIGNATURE"
      ],
      ["outlives the hop", second(chain, { exp: now + 51 }), "DELEGATION_EXPIRED"],
      ["expired hop", second([first({ exp: now })]), "DELEGATION_EXPIRED"],
      ["wider than the hop", second(chain, { scope: ["demo.read"] }), "DELEGATION_SCOPE_EXCEEDED"],
      [
        "hop wider than the voucher",
        second([first({ scope: ["demo.echo", "x"] })]),
        "DELEGATION_SCOPE_EXCEEDED"
      ],
      ["hop for another audience", second([first({ aud: d.aid })]), "DELEGATION_AUDIENCE_MISMATCH"],
      ["shared handle", second([first({ jti })], { jti }), "DELEGATION_INVALID_SIGNATURE"],
      [
        "hop without a handle",
        second([mintDelegation(a, b, c, { exp: now + 50, voucher: voucherOf() }).token]),
        "DELEGATION_INVALID_SIGNATURE"
      ],
      ["hop is a TCT", second([mintTct(a, b).token]), "TOKEN_TYP_MISMATCH"],
      ["hop is no token", second(["e30.e30.e30"]), "DELEGATION_INVALID_SIGNATURE"],
      ["empty chain", second([]), "DELEGATION_INVALID_SIGNATURE"]
    ]
    for (const [name, token, expected] of rows)
      assert.strictEqual(codeOf(token, { multihop }), expected, name)
  })

  it("refuses a hop whose own chain is not the chain before it", () => {
    const e = makeAgent()
    const root = first()
    const codeWith = (hop: string) => {
      const chain = [root, hop]
      const token = mintDelegation(a, d, e, {
        jti: newJti(),
        exp: now + 30,
        chain,
        chain_hash: chainHash(chain)
      }).token
      return codeOf(token, { multihop: { maxHops: 4 } })
    }
    assert.strictEqual(codeWith(second([root])), "ok")
    assert.strictEqual(codeWith(second([first()])), "DELEGATION_CHAIN_HASH_MISMATCH")
    assert.strictEqual(
      codeWith(second([root], { chain_hash: chainHash([]) })),
      "DELEGATION_CHAIN_HASH_MISMATCH"
    )
    const direct = mintDelegation(a, c, d, {
      jti: newJti(),
      exp: now + 40,
      voucher: voucherOf({}, a, c)
    }).token
    assert.strictEqual(codeWith(direct), "DELEGATION_CHAIN_HASH_MISMATCH")
  })

  it("asks the right issuer about each handle", () => {
    const asked: Array<string> = []
    const token = second([first()])
    codeOf(token, { multihop, isRevoked: (issuer) => asked.push(issuer) > 100 })
    assert.deepStrictEqual(asked, [a.aid, b.aid, c.aid])
  })
})
