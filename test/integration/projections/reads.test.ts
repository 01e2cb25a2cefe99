import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { DEFAULT_ORG, type OrgId, type Visibility, visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { DelegationTrees, MAX_TREE } from "../../../src/delegations/DelegationTrees.ts"
import type { DelegationQuery } from "../../../src/delegations/model.ts"
import type { SessionQuery } from "../../../src/sessions/model.ts"
import { Sessions } from "../../../src/sessions/Sessions.ts"
import type { TctQuery } from "../../../src/tcts/model.ts"
import { emptied, ProjectedLedger, report } from "../../support/projections/ledger.ts"
import { listDelegations, listSessions, listTcts } from "../../support/projections/lists.ts"

const START = Date.UTC(2026, 0, 1)
const at = (step: number) => START + step * 1000
const uuid = (n: number) => `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`
const FAR = Date.UTC(9000, 0, 1) / 1000
const PAST = START / 1000

const ownOrg: OrgId = "0f000000-0000-8000-8000-00000000000a"
const own: Visibility = { _tag: "orgs", orgIds: [ownOrg] }
const ofNamespace = ({ namespace }: { readonly namespace: string | null }) => [
  namespace === "own" ? ownOrg : DEFAULT_ORG
]

const sessionIds = (query?: Partial<SessionQuery>, visibility?: Visibility) =>
  Effect.map(listSessions(query, visibility), (found) => found.map(({ sessionId }) => sessionId))
const tctJtis = (query?: Partial<TctQuery>, visibility?: Visibility) =>
  Effect.map(listTcts(query, visibility), (found) => found.map(({ jti }) => Number(jti.slice(0, 8))))
const delegationJtis = (query?: Partial<DelegationQuery>, visibility?: Visibility) =>
  Effect.map(listDelegations(query, visibility), (found) => found.map(({ jti }) => Number(jti.slice(0, 8))))

const treeOf = (root: number, visibility = visibleToAll) =>
  Effect.map(
    Effect.flatMap(DelegationTrees, (trees) => trees.tree(uuid(root), visibility)),
    ({ json, truncated }) => ({
      rows: (JSON.parse(json) as ReadonlyArray<{ readonly jti: string; readonly depth: number }>).map(
        ({ depth, jti }) => [Number(jti.slice(0, 8)), depth]
      ),
      truncated
    })
  )

const started = (sessionId: string, over: object = {}) => ({
  type: "handshake.started",
  ts: at(0),
  sessionId,
  ...over
})
const issued = (n: number, claims: object = {}, over: object = {}) => ({
  type: "tct.issued",
  ts: at(n),
  payload: { tct: { jti: uuid(n), iss: "issuer", sub: "subject", ...claims } },
  ...over
})
const delegated = (n: number, parent: number, over: object = {}) => ({
  type: "delegation.issued",
  ts: at(n),
  payload: { jti: uuid(n), parent_jti: uuid(parent), delegator: "p", delegatee: "q", ...over }
})

layer(DelegationTrees.layer.pipe(Layer.provideMerge(ProjectedLedger)), { timeout: "60 seconds" })(
  "stores",
  (it) => {
    it.effect("list sessions newest first and page through them without a gap", () =>
      Effect.gen(function* () {
        yield* emptied
        // Several sessions first seen in one append share their time; the id decides.
        yield* report(["a", "c", "b"].map((id) => started(id)))
        yield* report(["e", "d"].map((id) => started(id)))
        const all = yield* sessionIds()
        assert.deepStrictEqual(all.toSorted(), ["a", "b", "c", "d", "e"])
        const walked: Array<string> = []
        let after: SessionQuery["after"]
        for (;;) {
          const found = yield* (yield* Sessions).list(
            { status: undefined, runId: undefined, aid: undefined, limit: 2, offset: 0, after },
            visibleToAll
          )
          const last = found.slice(0, 2).at(-1)
          walked.push(...found.slice(0, 2).map(({ sessionId }) => sessionId))
          if (found.length <= 2 || last === undefined) break
          after = last
        }
        assert.deepStrictEqual(walked, all)
        assert.deepStrictEqual(yield* sessionIds({ limit: 1 }), all.slice(0, 2))
        assert.deepStrictEqual(yield* sessionIds({ offset: 3 }), all.slice(3))
      })
    )

    it.effect("filter sessions by status, run and either party", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          started("open", { runId: "r1", aidA: "x", aidB: "y" }),
          { type: "handshake.completed", ts: at(1), sessionId: "done", runId: "r2", aidA: "y", aidB: "y" },
          { type: "handshake.failed", ts: at(1), sessionId: "bad", aidA: "z" }
        ])
        assert.deepStrictEqual(yield* sessionIds({ status: "started" }), ["open"])
        assert.deepStrictEqual(yield* sessionIds({ status: "complete" }), ["done"])
        assert.deepStrictEqual(yield* sessionIds({ status: "completed" }), ["done"])
        assert.deepStrictEqual(yield* sessionIds({ status: "failed" }), ["bad"])
        assert.deepStrictEqual(yield* sessionIds({ status: "unknown" }), [])
        assert.deepStrictEqual(yield* sessionIds({ runId: "r1" }), ["open"])
        assert.deepStrictEqual(yield* sessionIds({ aid: "y" }), ["open", "done"])
        assert.deepStrictEqual(yield* sessionIds({ aid: "y", status: "complete", runId: "r2" }), ["done"])
        assert.deepStrictEqual(yield* sessionIds({ aid: "none" }), [])
      })
    )

    it.effect("find a session with everything its events say", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          {
            type: "handshake.complete",
            ts: at(5),
            sessionId: "s",
            aidA: "a2",
            aidB: "b",
            grants: ["g2", "g1"]
          },
          {
            type: "handshake.complete",
            ts: at(4),
            sessionId: "s",
            grants: ["g1"],
            payload: { boundary: "late" }
          },
          {
            type: "handshake.failed",
            ts: at(3),
            sessionId: "s",
            payload: { error: "no", boundary: "early" }
          },
          started("s", { ts: at(1), aidA: "a", runId: "r", namespace: "n" }),
          started("s", { ts: at(2), runId: "r2" })
        ])
        const found = Option.getOrThrow(yield* (yield* Sessions).findById("s", visibleToAll))
        const { createdAt, updatedAt, ...said } = found
        assert.deepStrictEqual(said, {
          sessionId: "s",
          aidA: "a",
          aidB: "b",
          status: "complete",
          grants: ["g1", "g2"],
          runId: "r",
          boundary: "early",
          error: null,
          startedAt: new Date(at(1)),
          completedAt: new Date(at(5)),
          namespace: "n"
        })
        assert.isAtMost(createdAt.getTime(), updatedAt.getTime())
        assert.isTrue(Option.isNone(yield* (yield* Sessions).findById("t", visibleToAll)))
      })
    )

    it.effect("show a failure with its error and without a completion", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          { type: "handshake.complete", ts: at(1), sessionId: "s" },
          { type: "handshake.failed", ts: at(2), sessionId: "s", payload: { error: "no" } }
        ])
        const found = Option.getOrThrow(yield* (yield* Sessions).findById("s", visibleToAll))
        assert.deepStrictEqual(
          [found.status, found.error, found.completedAt, found.startedAt],
          ["failed", "no", null, null]
        )
      })
    )

    it.effect("list TCTs newest issue first and filter them", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          issued(1, { iss: "i1", grants: ["a", "b"], exp: FAR }, { sessionId: "s" }),
          issued(2, { sub: "s2", grants: ["b"], exp: PAST }),
          issued(3, { aud: "a3", iat: at(9) / 1000 }),
          issued(1, { iss: "i2", grants: [] }),
          { type: "tct.revoked", ts: at(7), payload: { jti: uuid(3), reason: "lost" } }
        ])
        assert.deepStrictEqual(yield* tctJtis(), [3, 2, 1, 1])
        assert.deepStrictEqual(yield* tctJtis({ issuer: "i1" }), [1])
        assert.deepStrictEqual(yield* tctJtis({ subject: "s2" }), [2])
        assert.deepStrictEqual(yield* tctJtis({ audience: "s2" }), [2])
        assert.deepStrictEqual(yield* tctJtis({ audience: "a3" }), [3])
        assert.deepStrictEqual(yield* tctJtis({ capability: "b" }), [2, 1])
        assert.deepStrictEqual(yield* tctJtis({ capability: 'b"' }), [])
        assert.deepStrictEqual(yield* tctJtis({ sessionId: "s" }), [1])
        assert.deepStrictEqual(yield* tctJtis({ jti: uuid(1) }), [1, 1])
        assert.deepStrictEqual(yield* tctJtis({ active: true }), [1, 1])
        const [revoked] = yield* listTcts({ jti: uuid(3) })
        assert.deepStrictEqual(
          [revoked?.revoked, revoked?.revokedAt, revoked?.revokedBy, revoked?.revokedReason],
          [true, new Date(at(7)), ["report"], "lost"]
        )
        const [first, ...rest] = yield* listTcts({ limit: 3 })
        assert.lengthOf(rest, 3)
        assert.deepStrictEqual(yield* tctJtis({ after: first }), [2, 1, 1])
        assert.deepStrictEqual(yield* tctJtis({ after: rest[1] }), [1])
        assert.deepStrictEqual(yield* tctJtis({ offset: 2 }), [1, 1])
      })
    )

    it.effect("show a TCT with defaults for what nobody said", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([issued(1)])
        assert.deepStrictEqual(yield* listTcts(), [
          {
            jti: uuid(1),
            issuer: "issuer",
            subject: "subject",
            audience: "subject",
            grants: [],
            bindingCnf: null,
            issuedAt: new Date(at(1)),
            expiresAt: null,
            sessionId: null,
            revoked: false,
            revokedAt: null,
            revokedBy: [],
            revokedReason: null,
            signatureVerified: null,
            conflict: false,
            reportedBy: "tests",
            issuerKey: "issuer"
          }
        ])
      })
    )

    it.effect("name everyone who revoked a TCT and the reason of the earliest", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          issued(1),
          { type: "tct.revoked", ts: at(7), payload: { jti: uuid(1), reason: "report" } }
        ])
        const { sql } = yield* Db
        yield* sql`
        insert into revocation_facts (jti, source, owner, log_id, revoked_at, reason, event_id, event_seq)
        values (${uuid(1)}::uuid, 'operator', ${DEFAULT_ORG}::uuid, 1, ${new Date(at(6))}, 'operator', ${uuid(9)}::uuid, 1)`
        const [tct] = yield* listTcts()
        assert.deepStrictEqual(
          [tct?.revokedAt, tct?.revokedBy, tct?.revokedReason],
          [new Date(at(6)), ["operator", "report"], "operator"]
        )
      })
    )

    it.effect("list delegations newest issue first and filter them", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          delegated(1, 100, { delegator: "d1", exp: FAR }),
          delegated(2, 1, { delegatee: "e2" }),
          delegated(3, 100, { exp: PAST, iat: at(9) / 1000 }),
          { type: "delegation.revoked", ts: at(7), payload: { jti: uuid(2) } }
        ])
        assert.deepStrictEqual(yield* delegationJtis(), [3, 2, 1])
        assert.deepStrictEqual(yield* delegationJtis({ parentJti: uuid(100) }), [3, 1])
        assert.deepStrictEqual(yield* delegationJtis({ delegator: "d1" }), [1])
        assert.deepStrictEqual(yield* delegationJtis({ delegatee: "e2" }), [2])
        assert.deepStrictEqual(yield* delegationJtis({ active: true }), [1])
        const found = yield* listDelegations({ limit: 1 })
        assert.lengthOf(found, 2)
        assert.deepStrictEqual(yield* delegationJtis({ after: found[0] }), [2, 1])
        assert.deepStrictEqual(found[1], {
          jti: uuid(2),
          parentJti: uuid(1),
          delegator: "p",
          delegatee: "e2",
          scope: [],
          issuedAt: new Date(at(2)),
          expiresAt: null,
          revoked: true,
          revokedAt: new Date(at(7)),
          revokedReason: "explicit",
          synthetic: false,
          signatureVerified: null,
          conflict: false
        })
      })
    )

    it.effect("give the tree below a delegation or a TCT, oldest first, with depths", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          delegated(5, 2),
          delegated(2, 1),
          delegated(1, 100),
          delegated(3, 1),
          delegated(4, 3),
          delegated(9, 99)
        ])
        assert.deepStrictEqual(yield* treeOf(1), {
          rows: [
            [1, 0],
            [2, 1],
            [3, 1],
            [4, 2],
            [5, 2]
          ],
          truncated: false
        })
        assert.deepStrictEqual((yield* treeOf(100)).rows[0], [1, 1])
        assert.lengthOf((yield* treeOf(100)).rows, 5)
        assert.deepStrictEqual(yield* treeOf(77), { rows: [], truncated: false })
      })
    )

    it.effect("end at cycles, with the root in them or not", () =>
      Effect.gen(function* () {
        yield* emptied
        yield* report([
          delegated(1, 3),
          delegated(2, 1),
          delegated(3, 2),
          delegated(4, 3),
          delegated(5, 5),
          delegated(6, 5)
        ])
        assert.deepStrictEqual((yield* treeOf(1)).rows, [
          [1, 0],
          [2, 1],
          [3, 2],
          [4, 3]
        ])
        assert.deepStrictEqual((yield* treeOf(5)).rows, [
          [5, 0],
          [6, 1]
        ])
        assert.deepStrictEqual((yield* treeOf(4)).rows, [[4, 0]])
      })
    )

    it.effect("cut a tree at 10,000 delegations and say so", () =>
      Effect.gen(function* () {
        yield* emptied
        const { sql } = yield* Db
        yield* sql`
        insert into delegations (
          jti, log_id, parent_jti, delegator_aid, delegatee_aid, synthetic, precedence, reported_ts, reported_by,
          event_seq, token_checked, conflict, created_at)
        select
          (lpad(n::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 1,
          (lpad((n / 100)::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'p', 'q', false, '1', now(), 'tests',
          1, false, false, now()
        from generate_series(1, ${MAX_TREE + 1}::int) as n`
        const all = yield* treeOf(0)
        assert.deepStrictEqual([all.rows.length, all.truncated], [MAX_TREE, true])
        assert.isFalse((yield* treeOf(2)).truncated)
      })
    )

    it.effect("show to an organisation only what its events built", () =>
      Effect.gen(function* () {
        yield* emptied
        const mine = { namespace: "own" }
        yield* report(
          [
            started("both"),
            started("both", { ...mine, ts: at(1) }),
            started("mine", mine),
            started("theirs"),
            issued(1, {}, mine),
            issued(2),
            delegated(1, 100),
            { ...delegated(2, 1), ...mine },
            { ...delegated(3, 2), ...mine }
          ],
          { orgIdsOf: ofNamespace }
        )
        assert.deepStrictEqual((yield* sessionIds({}, own)).toSorted(), ["both", "mine"])
        assert.isTrue(Option.isNone(yield* (yield* Sessions).findById("theirs", own)))
        assert.deepStrictEqual(yield* tctJtis({}, own), [1])
        assert.deepStrictEqual(yield* delegationJtis({}, own), [3, 2])
        assert.deepStrictEqual((yield* treeOf(2, own)).rows, [
          [2, 0],
          [3, 1]
        ])
        assert.deepStrictEqual((yield* treeOf(100, own)).rows, [])
      })
    )
  }
)
