import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DEFAULT_ORG, type OrgId } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { formatAid } from "../../../src/aitp/aid.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"
import { emptied, ProjectedLedger, report } from "../../support/projections/ledger.ts"
import { storedState } from "../../support/projections/stored.ts"

const START = Date.UTC(2026, 0, 1)
const at = (step: number) => START + step * 1000
const isoAt = (step: number) => new Date(at(step)).toISOString()
const uuid = (n: number) => `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`

const issued = (step: number, claims: object, over: object = {}) => ({
  type: "tct.issued",
  ts: at(step),
  payload: { tct: { jti: uuid(1), iss: "i", sub: "s", ...claims } },
  ...over
})
const delegated = (n: number, parent: number, over: object = {}) => ({
  type: "delegation.issued",
  ts: at(0),
  payload: { jti: uuid(n), parent_jti: uuid(parent), delegator: "p", delegatee: "q", ...over }
})
const revoked = (n: number, step: number) => ({
  type: "tct.revoked",
  ts: at(step),
  payload: { jti: uuid(n) }
})

/** When and why each delegation is revoked, by number. */
const revocations = Effect.map(storedState, ({ delegations }) =>
  Object.fromEntries(
    delegations.map(({ jti, revokedAt, revokedReason }) => [
      Number(jti.slice(0, 8)),
      [revokedAt, revokedReason]
    ])
  )
)

layer(ProjectedLedger, { timeout: "60 seconds" })("an append that projects", (it) => {
  it.effect("changes nothing when the same report comes again", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      const items = [
        { type: "handshake.complete", ts: at(1), sessionId: "s", grants: ["g"] },
        issued(1, { exp: at(9) / 1000 }),
        delegated(2, 1),
        revoked(2, 3)
      ]
      const versions = Effect.map(
        sql<{ readonly version: string }>`
          select xmin::text as version from handshake_sessions union all select xmin::text from issued_tcts
          union all select xmin::text from delegations union all select xmin::text from revocation_facts`,
        (rows) => rows.map(({ version }) => version)
      )
      yield* report(items)
      const before = [yield* storedState, yield* versions]
      const { recorded } = yield* report(items)
      assert.deepStrictEqual(
        recorded.outcomes,
        Array.from(items, () => "duplicate")
      )
      assert.deepStrictEqual([yield* storedState, yield* versions], before)
    })
  )

  it.effect("repairs what is missing when the same report comes again", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      const items = [
        { type: "handshake.complete", ts: at(1), sessionId: "s", grants: ["g"] },
        issued(1, {}),
        delegated(2, 1),
        revoked(1, 3)
      ]
      yield* report(items)
      const before = yield* storedState
      yield* sql`delete from handshake_sessions`
      yield* sql`delete from issued_tcts`
      yield* sql`delete from delegations`
      yield* sql`delete from revocation_facts`
      yield* report(items)
      assert.deepStrictEqual(yield* storedState, before)
    })
  )

  it.effect("takes nothing from other content under a known id, in this request or a later one", () =>
    Effect.gen(function* () {
      yield* emptied
      const id = "11111111-1111-4111-8111-111111111111"
      const first = issued(1, { sub: "first" }, { id })
      const other = issued(1, { sub: "other" }, { id })
      const fact = { type: "tct.revoked", ts: at(2), payload: { jti: uuid(1) }, id }
      const { recorded } = yield* report([first, other, fact])
      assert.deepStrictEqual(recorded.outcomes, ["stored", "conflict", "conflict"])
      yield* report([other])
      const { facts, lost, tcts } = yield* storedState
      assert.deepStrictEqual([tcts.length, lost, facts], [1, [], []])
      assert.strictEqual(tcts[0]?.claims["subject"], "first")
    })
  )

  it.effect("is undone with the append it belongs to", () =>
    Effect.gen(function* () {
      yield* emptied
      const { withTransaction } = yield* Db
      yield* Effect.flip(
        withTransaction(Effect.andThen(report([issued(1, {}), revoked(1, 2)]), Effect.fail("undo")))
      )
      const state = yield* storedState
      assert.deepStrictEqual([state.tcts, state.facts], [[], []])
    })
  )

  it.effect("takes reports that each say part of a TCT for one, without a conflict", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([issued(2, { exp: 1_800_000_000 })])
      yield* report([issued(1, { grants: ["g"] }, { sessionId: "s" })])
      const { lost, tcts } = yield* storedState
      assert.deepStrictEqual(lost, [])
      assert.deepStrictEqual(tcts[0]?.claims, {
        expiresAt: "2027-01-15T08:00:00.000Z",
        grants: ["g"],
        issuer: "i",
        sessionId: "s",
        subject: "s"
      })
      assert.deepStrictEqual([tcts[0]?.conflict, tcts[0]?.reportedTs], [false, isoAt(1)])
    })
  )

  it.effect("shows the earlier of two reports that differ, and keeps what the other said", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([issued(2, { grants: ["late"] })])
      const { batch } = yield* report([issued(1, { grants: ["early"] })])
      const { lost, tcts } = yield* storedState
      assert.deepStrictEqual(tcts[0]?.claims["grants"], ["early"])
      assert.isTrue(tcts[0]?.conflict)
      assert.deepStrictEqual(
        lost.map(({ claim, value }) => [claim, value]),
        [["grants", ["late"]]]
      )
      assert.notStrictEqual(lost[0]?.eventId, batch.events[0]?.id)
    })
  )

  it.effect("takes both spellings of issuer and subject for one", () =>
    Effect.gen(function* () {
      yield* emptied
      const [issuer, subject] = [makeAgent(), makeAgent()]
      const tagged = (agent: typeof issuer) => formatAid("ed25519", agent.raw, "ed25519")
      yield* report([
        issued(1, { iss: issuer.aid, sub: tagged(subject) }),
        issued(2, { iss: tagged(issuer), sub: subject.aid }),
        issued(3, { iss: "not an AID", sub: "s" })
      ])
      const { tcts } = yield* storedState
      assert.lengthOf(tcts, 2)
      const tct = tcts.find(({ issuerKey }) => issuerKey === issuer.aid)
      assert.deepStrictEqual(
        [tct?.claims["issuer"], tct?.claims["subject"], tct?.conflict],
        [issuer.aid, tagged(subject), false]
      )
    })
  )

  it.effect("prefers a verified token to what came earlier, and fills it with nothing but the session", () =>
    Effect.gen(function* () {
      yield* emptied
      const [issuer, subject] = [makeAgent(), makeAgent()]
      const { claims, token } = mintTct(issuer, subject, { jti: uuid(1), grants: ["real"] })
      const forged = { iss: issuer.aid, sub: "someone", grants: ["forged"], exp: 1 }
      yield* report([
        issued(1, forged, { sessionId: "hearsay" }),
        { type: "tct.issued", ts: at(3), payload: { tct: { token } } }
      ])
      yield* report([{ type: "tct.renewal.issued", ts: at(2), payload: { tct: token } }])
      const { lost, tcts } = yield* storedState
      const [tct] = tcts
      assert.deepStrictEqual(
        [
          tct?.signatureVerified,
          tct?.conflict,
          tct?.claims["subject"],
          tct?.claims["grants"],
          tct?.claims["expiresAt"],
          tct?.claims["sessionId"]
        ],
        [true, true, subject.aid, ["real"], new Date(claims.exp * 1000).toISOString(), "hearsay"]
      )
      assert.deepStrictEqual(lost.map(({ claim }) => claim).toSorted(), ["expiresAt", "grants", "subject"])
    })
  )

  it.effect("keeps at most nine values of a claim, and that there was a conflict", () =>
    Effect.gen(function* () {
      yield* emptied
      const items = Array.from({ length: 30 }, (_, index) => issued(index, { exp: 1_800_000_000 + index }))
      for (let start = 28; start >= 0; start -= 2) yield* report(items.slice(start, start + 2))
      const { lost, tcts } = yield* storedState
      assert.strictEqual(tcts[0]?.claims["expiresAt"], "2027-01-15T08:00:00.000Z")
      assert.isTrue(tcts[0]?.conflict)
      assert.deepStrictEqual(
        lost.map(({ value }) => String(value)).toSorted(),
        Array.from({ length: 8 }, (_, index) => `2027-01-15T08:00:0${index + 1}.000Z`)
      )
    })
  )

  it.effect("keeps the first thousand grants of a session", () =>
    Effect.gen(function* () {
      yield* emptied
      const grants = Array.from({ length: 1500 }, (_, index) => `g${index}`)
      const complete = (step: number, some: ReadonlyArray<string>) => ({
        type: "handshake.complete",
        ts: at(step),
        sessionId: "s",
        grants: some
      })
      yield* report([complete(3, grants.slice(700))])
      yield* report([complete(2, grants.slice(0, 800))])
      assert.deepStrictEqual((yield* storedState).sessions[0]?.grants, grants.slice(0, 1000))
    })
  )

  it.effect("gives a row the organisations of all events that built it", () =>
    Effect.gen(function* () {
      yield* emptied
      const [one, two] = [
        "0f000000-0000-8000-8000-00000000000a",
        "0f000000-0000-8000-8000-00000000000b"
      ] as const
      const owners: Readonly<Record<string, OrgId>> = { one, two }
      const orgIdsOf = ({ namespace }: { readonly namespace: string | null }) => [
        owners[namespace ?? ""] ?? DEFAULT_ORG
      ]
      const inEach = (item: object) =>
        ["two", "one", "none"].map((namespace, n) => ({ ...item, namespace, id: uuid(50 + n), ts: at(n) }))
      for (const item of [{ type: "handshake.started", sessionId: "s" }, issued(1, {}), delegated(2, 1)]) {
        yield* emptied
        const [first, ...others] = inEach(item)
        yield* report(others, { orgIdsOf })
        yield* report([first], { orgIdsOf })
        const { sql } = yield* Db
        const [row] = yield* sql<{ readonly orgs: string }>`
          select org_ids::text as orgs from handshake_sessions union all select org_ids::text from issued_tcts
          union all select org_ids::text from delegations`
        assert.strictEqual(row?.orgs, `{${[DEFAULT_ORG, one, two].join(",")}}`)
      }
    })
  )

  it.effect("revokes all descendants, also those whose middle comes last", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([delegated(5, 4), delegated(3, 2), revoked(1, 7), delegated(2, 1)])
      assert.deepStrictEqual(yield* revocations, {
        2: [isoAt(7), "parent_revoked"],
        3: [isoAt(7), "parent_revoked"],
        5: [null, null]
      })
      yield* report([delegated(4, 3)])
      assert.deepStrictEqual((yield* revocations)[5], [isoAt(7), "parent_revoked"])
    })
  )

  it.effect("says explicit of what is revoked itself, with its own time, and passes the earliest on", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([delegated(2, 1), delegated(3, 2), delegated(4, 3), revoked(1, 5), revoked(3, 8)])
      yield* report([revoked(2, 9), revoked(1, 4)])
      assert.deepStrictEqual(yield* revocations, {
        2: [isoAt(9), "explicit"],
        3: [isoAt(8), "explicit"],
        4: [isoAt(4), "parent_revoked"]
      })
    })
  )

  it.effect("follows a delegation to the parent that a better report names", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([{ ...delegated(2, 1), ts: at(5) }, delegated(3, 2), delegated(4, 3), revoked(1, 7)])
      assert.deepStrictEqual((yield* revocations)[4], [isoAt(7), "parent_revoked"])
      // An earlier report of 2 puts it below 9 instead, with everything under it.
      yield* report([{ ...delegated(2, 9), ts: at(4) }])
      assert.deepStrictEqual(yield* revocations, { 2: [null, null], 3: [null, null], 4: [null, null] })
      yield* report([revoked(9, 8)])
      assert.deepStrictEqual((yield* revocations)[4], [isoAt(8), "parent_revoked"])
    })
  )

  it.effect("ends at cycles of parents", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* report([
        delegated(1, 3),
        delegated(2, 1),
        delegated(3, 2),
        delegated(4, 4),
        delegated(5, 3),
        revoked(2, 6),
        revoked(4, 7)
      ])
      assert.deepStrictEqual(yield* revocations, {
        1: [isoAt(6), "parent_revoked"],
        2: [isoAt(6), "explicit"],
        3: [isoAt(6), "parent_revoked"],
        4: [isoAt(7), "explicit"],
        5: [isoAt(6), "parent_revoked"]
      })
    })
  )

  it.effect("revokes 5,000 descendants, wide and deep, in one append", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      // 100 levels of 50: each hangs below the one 50 before it.
      yield* sql`
        insert into delegations (
          jti, log_id, parent_jti, delegator_aid, delegatee_aid, synthetic, precedence, reported_ts, reported_by,
          event_seq, token_checked, conflict, created_at)
        select
          (lpad((n + 50)::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 1,
          (lpad((case when n <= 50 then 1 else n end)::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'p', 'q',
          false, '1', now(), 'tests', 1, false, false, now()
        from generate_series(1, 5000) as n`
      const before = performance.now()
      yield* report([revoked(1, 7)])
      const took = performance.now() - before
      const [count] = yield* sql<{ readonly n: number }>`
        select count(*)::int as n from delegations where ancestor_revoked_at = ${new Date(at(7))}`
      assert.strictEqual(count?.n, 5000)
      assert.isBelow(took, 3000)
    })
  )
})
