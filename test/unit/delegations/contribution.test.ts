import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { chainHash } from "../../../src/aitp/delegation-chain.ts"
import { syntheticJti } from "../../../src/delegations/contribution.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintDelegation, mintVoucher, newJti } from "../../support/aitp/mint-tokens.ts"
import { contributionsOf } from "../../support/projections/contributions.ts"

const JTI = "0123abcd-0000-4000-8000-000000000001"
const PARENT = "0123abcd-0000-4000-8000-000000000002"
const OTHER = "0123abcd-0000-4000-8000-000000000003"
const [a, b, c, d] = [makeAgent(), makeAgent(), makeAgent(), makeAgent()]

const flat = { jti: JTI, parent_jti: PARENT, delegator: "x", delegatee: "y" }
const bare = {
  jti: JTI,
  parentJti: PARENT,
  delegator: "x",
  delegatee: "y",
  scope: null,
  issuedAt: null,
  expiresAt: null,
  synthetic: false,
  signatureVerified: null,
  tokenSha256: null
}

const read = (payload: object) => contributionsOf({ type: "delegation.issued", payload }).delegations
const one = (payload: object) => read(payload)[0]

describe("what an event says about delegations", () => {
  it("reads only delegation.issued, also flat", () => {
    assert.deepStrictEqual(one(flat), bare)
    assert.deepStrictEqual(contributionsOf({ type: "delegation.issued", ...flat }).delegations, [bare])
    for (const type of ["delegation.revoked", "delegation.issue", "tct.issued"]) {
      assert.lengthOf(contributionsOf({ type, ...flat }).delegations, 0)
    }
  })

  it("takes claims from payload.tct, then payload.delegation, then the payload", () => {
    const inner = { jti: JTI, parent_jti: PARENT, delegatee: "y" }
    assert.strictEqual(
      one({ tct: { ...inner, delegator: "1" }, delegation: { ...inner, delegator: "2" } })?.delegator,
      "1"
    )
    assert.strictEqual(one({ tct: 7, delegation: { claims: { ...inner, delegator: "2" } } })?.delegator, "2")
    assert.strictEqual(one({ tct: {}, claims: { ...inner, delegator: "3" } })?.delegator, "3")
    assert.strictEqual(one({ ...inner, delegator: "4" })?.delegator, "4")
  })

  it("reads every spelling of every field, the first that is present", () => {
    const ids = { jti: JTI, parent_jti: PARENT }
    const cases: ReadonlyArray<readonly [object, Record<string, unknown>]> = [
      [{ ...flat, child_jti: OTHER }, {}],
      [{ parent_jti: PARENT, delegator: "x", delegatee: "y", child_jti: JTI.toUpperCase() }, {}],
      [{ parent_jti: PARENT, delegator: "x", delegatee: "y", tct: { jti: JTI, child_jti: OTHER } }, {}],
      [{ parent_jti: PARENT, delegator: "x", delegatee: "y", delegation: { child_jti: JTI } }, {}],
      [{ jti: JTI, tct: { jti: OTHER, parent_jti: PARENT, delegator: "x", delegatee: "y" } }, {}],
      [{ ...flat, parentJti: OTHER, src_jti: OTHER }, {}],
      [{ jti: JTI, delegator: "x", delegatee: "y", parentJti: PARENT, src_jti: OTHER }, {}],
      [{ jti: JTI, delegator: "x", delegatee: "y", src_jti: PARENT }, {}],
      [{ jti: JTI, delegator: "x", delegatee: "y", tct: { src_jti: PARENT, parent_jti: OTHER } }, {}],
      [{ jti: JTI, delegator: "x", delegatee: "y", tct: { parent_jti: PARENT, parentJti: OTHER } }, {}],
      [{ jti: JTI, delegator: "x", delegatee: "y", tct: { parentJti: PARENT } }, {}],
      [
        {
          jti: JTI,
          delegator: "x",
          delegatee: "y",
          tct: { voucher: { src_jti: PARENT, parent_jti: OTHER } }
        },
        {}
      ],
      [
        { jti: JTI, delegator: "x", delegatee: "y", tct: { voucher: { claims: { parent_jti: PARENT } } } },
        {}
      ],
      [
        {
          jti: JTI,
          delegator: "x",
          delegatee: "y",
          tct: { voucher: mintVoucher(a, b, { src_jti: PARENT }).token }
        },
        {}
      ],
      [{ ...ids, delegator_aid: "x", delegator: "1", delegatee_aid: "y", delegatee: "2" }, {}],
      [{ ...ids, delegator: "x", delegatee: "y", tct: { delegator: "1", delegatee: "2" } }, {}],
      [
        {
          ...ids,
          tct: { delegator: "x", delegator_aid: "1", iss: "2", delegatee: "y", delegatee_aid: "1", sub: "2" }
        },
        {}
      ],
      [{ ...ids, tct: { delegator_aid: "x", iss: "2", delegatee_aid: "y", sub: "2" } }, {}],
      [{ ...ids, tct: { iss: "x", sub: "y" } }, {}],
      [{ ...flat, scope: ["p"], grants: ["q"] }, { scope: ["p"] }],
      [{ ...flat, scope: "p", grants: ["q"] }, { scope: ["q"] }],
      [{ ...flat, scope: ["r"], tct: { iss: "x" } }, { scope: ["r"] }],
      [{ ...flat, scope: ["r"], tct: { grants: ["q"] } }, { scope: ["q"] }],
      [{ ...flat, scope: [1] }, {}],
      [
        { ...flat, iat: 10, issued_at: 20, exp: 30, expires_at: 40 },
        { issuedAt: 10_000, expiresAt: 30_000 }
      ],
      [
        { ...flat, issued_at: 20, expires_at: 40 },
        { issuedAt: 20_000, expiresAt: 40_000 }
      ],
      [{ ...flat, iat: 1_700_000_000_000, exp: "30" }, {}]
    ]
    for (const [payload, over] of cases) {
      assert.deepStrictEqual<unknown>(one(payload), { ...bare, ...over }, JSON.stringify(payload))
    }
  })

  it("counts what lacks an id, a parent or a party", () => {
    const long = "x".repeat(513)
    for (const payload of [
      { ...flat, jti: "no uuid" },
      { ...flat, jti: undefined },
      { ...flat, parent_jti: "no uuid" },
      { ...flat, parent_jti: undefined },
      { ...flat, delegator: undefined },
      { ...flat, delegatee: undefined },
      { ...flat, delegator: long },
      { ...flat, delegatee: long },
      {},
      []
    ]) {
      const { delegations, skipped } = contributionsOf({
        type: "delegation.issued",
        payload: JSON.parse(JSON.stringify(payload)) as object
      })
      assert.lengthOf(delegations, 0)
      assert.deepStrictEqual(skipped, ["delegation"])
    }
  })

  it("makes an id for a token that has none, and takes the parent from its voucher", () => {
    const voucher = mintVoucher(a, b)
    const { claims, token } = mintDelegation(a, b, c, { voucher: voucher.token })
    const expected = {
      jti: syntheticJti(token),
      parentJti: voucher.claims.src_jti,
      delegator: b.aid,
      delegatee: c.aid,
      scope: ["demo.echo"],
      issuedAt: null,
      expiresAt: claims.exp * 1000,
      synthetic: true,
      signatureVerified: true
    }
    for (const payload of [
      { tct: { token } },
      { delegation: { token } },
      { tct: token },
      { token },
      { token, claims }
    ]) {
      const delegation = one(payload)
      assert.isString(delegation?.tokenSha256)
      assert.deepStrictEqual<unknown>(
        { ...delegation, tokenSha256: 0 },
        { ...expected, tokenSha256: 0 },
        JSON.stringify(payload)
      )
    }
  })

  it("makes ids as agents' tools do: SHA-1, version 5", () => {
    const digest = createHash("sha1").update("aitp-delegation:a.b.c").digest("hex")
    const jti = syntheticJti("a.b.c")
    assert.match(jti, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.strictEqual(jti.slice(0, 13), `${digest.slice(0, 8)}-${digest.slice(8, 12)}`)
    assert.strictEqual(jti.slice(24), digest.slice(20, 32))
  })

  it("gives each hop of a chain a row of its own", () => {
    const root = newJti()
    const [j1, j2, j3] = [newJti(), newJti(), newJti()]
    const hop1 = mintDelegation(a, b, c, { jti: j1, voucher: mintVoucher(a, b, { src_jti: root }).token })
    const hop2 = mintDelegation(a, c, d, {
      jti: j2,
      chain: [hop1.token],
      chain_hash: chainHash([hop1.token])
    })
    const chain = [hop1.token, hop2.token]
    const outer = mintDelegation(a, d, b, { jti: j3, chain, chain_hash: chainHash(chain) })
    const rows = read({ tct: { token: outer.token } })
    assert.deepStrictEqual(
      rows.map(({ delegatee, delegator, jti, parentJti, signatureVerified }) => [
        jti,
        parentJti,
        delegator,
        delegatee,
        signatureVerified
      ]),
      [
        [j3, j2, d.aid, b.aid, true],
        [j1, root, b.aid, c.aid, true],
        [j2, j1, c.aid, d.aid, true]
      ]
    )
  })

  it("links hops that do not name each other", () => {
    const voucher = mintVoucher(a, b, { src_jti: PARENT }).token
    const chain = [
      { jti: OTHER, iss: "p", sub: "q", voucher },
      { jti: newJti(), iss: "q", sub: "x" }
    ]
    const rows = read({ jti: JTI, tct: { iss: "x", sub: "y", chain } })
    assert.strictEqual(rows[0]?.parentJti, rows[2]?.jti)
    assert.strictEqual(rows[1]?.parentJti, PARENT)
    assert.strictEqual(rows[2]?.parentJti, OTHER)
  })

  it("takes the outer row even when a hop cannot be read", () => {
    const { delegations, skipped } = contributionsOf({
      type: "delegation.issued",
      payload: { ...flat, chain: [{ jti: "no uuid" }, 7] }
    })
    assert.deepStrictEqual(delegations, [bare])
    assert.deepStrictEqual(skipped, ["delegation"])
  })
})

describe("whether a signature covers what is said about a delegation", () => {
  const hop = mintDelegation(a, b, c, { jti: JTI, voucher: mintVoucher(a, b, { src_jti: PARENT }).token })
  const single = mintDelegation(a, b, c, { voucher: mintVoucher(a, b, { src_jti: PARENT }).token })
  const verified = (payload: object) => one(payload)?.signatureVerified

  it("lets the reporter name only what the token leaves open", () => {
    assert.isTrue(verified({ jti: OTHER, tct: { token: single.token } }))
    assert.isFalse(verified({ jti: OTHER, tct: { token: hop.token } }))
    assert.isFalse(verified({ parent_jti: OTHER, tct: { token: single.token } }))
    assert.isTrue(verified({ parent_jti: PARENT, tct: { token: single.token } }))
    assert.isFalse(verified({ delegator: a.aid, tct: { token: single.token } }))
    assert.isFalse(verified({ tct: { token: single.token, claims: { ...single.claims, scope: ["more"] } } }))
    assert.isFalse(verified({ tct: { token: single.token, claims: { ...single.claims, iat: 5 } } }))
  })

  it("is what strict mode admits", () => {
    const strict = contributionsOf(
      { type: "delegation.issued", payload: { delegator: a.aid, tct: { token: single.token } } },
      { verification: "strict" }
    )
    assert.deepStrictEqual([strict.delegations.length, strict.skipped, strict.failed], [0, ["unverified"], 1])
  })
})
