import * as fc from "fast-check"
import { formatAid } from "../../../src/aitp/aid.ts"
import { chainHash } from "../../../src/aitp/delegation-chain.ts"
import { syntheticJti } from "../../../src/delegations/contribution.ts"
import { mintToken } from "../../../src/aitp/jws.ts"
import { makeAgent, type TestAgent } from "../aitp/agent.ts"
import { mintDelegation, mintTct, mintVoucher } from "../aitp/mint-tokens.ts"

/**
 * Reported items of every projected kind over few sessions, ids and instants, so that reports meet, compete, tie, build
 * chains with missing links and cycles, and arrive before what they are about.
 */

const START = Date.UTC(2026, 0, 1)

const agents = Array.from({ length: 3 }, (_, index) => makeAgent({ seed: Buffer.alloc(32, index + 1) }))
const p256 = makeAgent({ alg: "p256", seed: Buffer.alloc(32, 9) })

const uuid = (n: number) => `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`
const jtis = Array.from({ length: 8 }, (_, index) => uuid(index + 1))

const oneOf = <A>(values: ReadonlyArray<A>) => fc.constantFrom(...values)
const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })

/** An AID in one of its spellings, or a text that is none. */
const party = oneOf([
  ...agents.flatMap(({ aid, raw }) => [aid, formatAid("ed25519", raw, "ed25519")]),
  p256.aid,
  "agent-7"
])
const instant = fc.integer({ min: 0, max: 3 }).map((step) => START + step * 1000)
const jti = oneOf(jtis)
const capabilities = fc.array(oneOf(["a.read", "a.write", "b.read", 'c"{}'] as const), { maxLength: 3 })
const seconds = fc.integer({ min: 0, max: 2 }).map((step) => START / 1000 + 3600 + step)

const flatTct = fc.record(
  {
    jti,
    iss: party,
    sub: party,
    aud: party,
    grants: capabilities,
    cnf: oneOf([{ jkt: "k1" }, "k2"]),
    iat: seconds,
    exp: seconds
  },
  { requiredKeys: ["jti", "iss", "sub"] }
)

const times = { iat: START / 1000, exp: START / 1000 + 7200 }

const tctTokens = [...agents, p256].flatMap((issuer: TestAgent, index) =>
  jtis.slice(0, 3).map((jti) => mintTct(issuer, agents[(index + 1) % 3] ?? issuer, { ...times, jti }))
)
// A signed token that leaves claims out: hearsay must not fill them.
const terse = agents.map((issuer) => {
  const claims = { jti: uuid(1), iss: issuer.aid, sub: issuer.aid, iat: times.iat }
  return { claims, token: mintToken("aitp-tct+jwt", claims, issuer) }
})

const broken = (token: string) => `${token.slice(0, -4)}AAAA`

const tokenTct = oneOf([...tctTokens, ...terse]).chain(({ claims, token }) =>
  oneOf<unknown>([
    token, // bare
    { token },
    { token, claims: {} },
    { token, claims },
    { token, claims: { ...claims, exp: START / 1000 + 1 } },
    { token: broken(token), claims }
  ])
)

const tct: fc.Arbitrary<unknown> = fc.oneof(flatTct, tokenTct)

const handshake = fc
  .record(
    {
      type: oneOf(["handshake.started", "handshake.complete", "handshake.completed", "handshake.failed"]),
      sessionId: oneOf(["s1", "s2", "s3"]),
      aidA: party,
      aid_b: party,
      runId: oneOf(["r1", "r2"]),
      namespace: oneOf(["n1", "n2"]),
      grants: capabilities
    },
    { requiredKeys: ["type", "sessionId"] }
  )
  .chain((event) =>
    fc
      .record(
        {
          boundary: oneOf(["local", "remote"]),
          error: oneOf(["timeout", "refused"]),
          role: oneOf(["initiator", "responder", "other"]),
          peer_aid: party,
          tct,
          tcts: fc.array(tct, { maxLength: 2 })
        },
        { requiredKeys: [] }
      )
      .chain((payload) =>
        oneOf<object>([
          { ...event, payload },
          { ...payload, ...event }
        ])
      )
  )

const issued = fc.record({
  type: oneOf(["tct.issued", "tct.renewal.issued"]),
  sessionId: optional(oneOf(["s1", "s2"])),
  payload: fc.oneof(fc.record({ tct }), fc.record({ tcts: fc.array(tct, { minLength: 1, maxLength: 3 }) }))
})

const flatDelegation = fc
  .record(
    {
      jti,
      parent_jti: jti,
      delegator: party,
      delegatee: party,
      scope: capabilities,
      exp: seconds,
      iat: seconds
    },
    { requiredKeys: ["jti", "parent_jti", "delegator", "delegatee"] }
  )
  .chain((claims) => oneOf<object>([claims, { delegation: claims }, { tct: { claims } }]))

const [a, b, c] = agents as [TestAgent, TestAgent, TestAgent] // three were made

const singleHops = jtis
  .slice(0, 3)
  .map((src_jti) =>
    mintDelegation(a, b, c, { exp: times.exp, voucher: mintVoucher(a, b, { ...times, src_jti }).token })
  )

const hopFrom = (src_jti: string, jti: string) =>
  mintDelegation(a, b, c, { exp: times.exp, jti, voucher: mintVoucher(a, b, { ...times, src_jti }).token })

const chains = [
  [3, 4, 5],
  [4, 5, 6],
  [1, 6, 7]
].map(([root = 0, first = 0, second = 0]) => {
  const hop = hopFrom(uuid(root), uuid(first)).token
  return mintDelegation(a, c, p256, {
    exp: times.exp,
    jti: uuid(second),
    chain: [hop],
    chain_hash: chainHash([hop])
  })
})

const tokenDelegation = oneOf([...singleHops, ...chains]).chain(({ claims, token }) =>
  oneOf<object>([
    { tct: { token } },
    { delegation: token },
    { token, claims },
    { delegation: { token, claims: { ...claims, scope: ["b.read"] } } },
    { tct: { token: broken(token) } },
    { jti: uuid(8), tct: { token } },
    // Named by the reporter with the very id that is made of the token.
    { jti: syntheticJti(token), tct: { claims } },
    { parent_jti: uuid(2), tct: { token, claims } }
  ])
)

const delegated = fc
  .oneof(flatDelegation, tokenDelegation)
  .map((payload) => ({ type: "delegation.issued", payload }))

const revoked = fc
  .record({
    type: oneOf(["tct.revoked", "delegation.revoked"]),
    jti,
    reason: optional(oneOf(["lost", "left"]))
  })
  .chain(({ type, ...payload }) =>
    oneOf<object>([
      { type, payload },
      { type, ...payload }
    ])
  )

const unrelated = oneOf<object>([
  { type: "capability.invoked", payload: { capability: "a.read" } },
  { type: "handshake.started" },
  { type: "tct.issued", payload: { tct: { jti: "no" } } },
  { type: "tct.revoked", payload: { jti: 7 } },
  { type: "note", payload: [1, "x.y.z"] }
])

const bodies = { handshake, issued, delegated, revoked, unrelated }

/** How often each kind of item is generated, relative to the others. */
export type Mix = Readonly<Record<keyof typeof bodies, number>>

export const everything: Mix = { handshake: 5, issued: 4, delegated: 5, revoked: 3, unrelated: 1 }

/** Trees of delegations whose parts and revocations come in any order. */
export const trees: Mix = { handshake: 0, issued: 0, delegated: 4, revoked: 1, unrelated: 0 }

const itemOf = (mix: Mix) =>
  fc
    .record({
      id: fc.uuid({ version: 4 }),
      ts: instant,
      body: fc.oneof(
        { weight: mix.handshake, arbitrary: handshake },
        { weight: mix.issued, arbitrary: issued },
        { weight: mix.delegated, arbitrary: delegated },
        { weight: mix.revoked, arbitrary: revoked },
        { weight: mix.unrelated, arbitrary: unrelated }
      )
    })
    // As from the wire: no member is undefined.
    .map(({ body, id, ts }) => ({ ...(JSON.parse(JSON.stringify(body)) as object), id, ts }))

export type ReportedItem = Readonly<Record<string, unknown>> & { readonly id: string; readonly ts: number }

/** A set of distinct items; large sets are as likely as small ones. */
export const reportedItems = (mix: Mix, maxLength: number): fc.Arbitrary<ReadonlyArray<ReportedItem>> =>
  fc.uniqueArray(itemOf(mix), { minLength: 1, maxLength, size: "max", selector: ({ id }) => id })

/** One way in which a set of items can arrive: in requests, in any order, some of them more than once. */
export const arrivalOf = (
  items: ReadonlyArray<ReportedItem>
): fc.Arbitrary<ReadonlyArray<ReadonlyArray<ReportedItem>>> =>
  fc
    .record({
      order: fc.shuffledSubarray([...items], { minLength: items.length }),
      again: fc.subarray([...items]),
      sizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 })
    })
    .chain(({ again, order, sizes }) =>
      fc.shuffledSubarray(again, { minLength: again.length }).map((repeated) => {
        // Repeats go between the rest: one after every second item.
        const sequence = order.flatMap((each, index) => {
          const repeat = repeated[(index - 1) / 2]
          return index % 2 === 1 && repeat !== undefined ? [each, repeat] : [each]
        })
        const requests: Array<ReadonlyArray<ReportedItem>> = []
        for (let at = 0, n = 0; at < sequence.length; n += 1) {
          const size = sizes[n % sizes.length] ?? 1
          requests.push(sequence.slice(at, at + size))
          at += size
        }
        return requests
      })
    )
