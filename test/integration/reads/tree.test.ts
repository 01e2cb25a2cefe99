import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { DEFAULT_ORG, visibleToAll } from "../../../src/access/Visibility.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { delegationRecord } from "../../../src/delegations/record.ts"
import { ProjectedLedger, report } from "../../support/projections/ledger.ts"

const delegation = (jti: string, parent_jti: string, more: object = {}) => ({
  type: "delegation.issued",
  ts: 1_700_000_000,
  payload: { jti, parent_jti, delegator: 'a"\\\n', delegatee: "b é", scope: ["x,y", '"'], ...more }
})

const everything = {
  parentJti: undefined,
  delegator: undefined,
  delegatee: undefined,
  active: false,
  limit: 100,
  offset: 0,
  after: undefined
}

layer(DelegationTrees.layer.pipe(Layer.provideMerge(ProjectedLedger)), { timeout: "60 seconds" })(
  "a delegation tree",
  (it) => {
    it.effect("has the delegations that the store finds, in the form of lists with their depth", () =>
      Effect.gen(function* () {
        const [root, first, second, third, other] = Array.from({ length: 5 }, () => randomUUID())
        assert(root && first && second && third && other)
        yield* report([
          delegation(first, root, { exp: 4_102_444_800 }),
          delegation(second, first, { iat: 1_600_000_000 }),
          delegation(third, second),
          delegation(other, randomUUID()),
          { type: "delegation.revoked", ts: 1_700_000_001, payload: { jti: second } }
        ])
        const { tree } = yield* DelegationTrees
        const listed = yield* (yield* Delegations).list(everything, visibleToAll)
        const depths = new Map<string, number>([
          [first, 1],
          [second, 2],
          [third, 3]
        ])
        const expected = listed
          .filter(({ jti }) => depths.has(jti))
          .toSorted((a, b) => +a.issuedAt - +b.issuedAt || (a.jti < b.jti ? -1 : 1))
          .map((each) => ({ ...delegationRecord(each), depth: depths.get(each.jti) }))
        const shown = yield* tree(root, visibleToAll)
        assert.deepEqual(JSON.parse(shown.json), expected)
        assert.strictEqual(expected[0]?.jti, second)
        assert.deepEqual([shown.count, shown.truncated], [3, false])
      })
    )

    it.effect("ends at a cycle, shows nothing to strangers and is empty for an unknown root", () =>
      Effect.gen(function* () {
        const [a, b, c] = Array.from({ length: 3 }, () => randomUUID())
        assert(a && b && c)
        yield* report([delegation(a, c), delegation(b, a), delegation(c, b)])
        const { tree } = yield* DelegationTrees
        const depths = JSON.parse((yield* tree(a, visibleToAll)).json) as ReadonlyArray<{
          readonly jti: string
          readonly depth: number
        }>
        assert.deepEqual(
          new Map(depths.map(({ depth, jti }) => [jti, depth])),
          new Map([
            [a, 0],
            [b, 1],
            [c, 2]
          ])
        )
        const own = yield* tree(a, { _tag: "orgs", orgIds: [DEFAULT_ORG] })
        assert.strictEqual(own.count, 3)
        const nothing = { json: "[]", count: 0, truncated: false }
        assert.deepEqual(yield* tree(a, { _tag: "orgs", orgIds: [randomUUID()] }), nothing)
        assert.deepEqual(yield* tree(randomUUID(), visibleToAll), nothing)
      })
    )
  }
)
