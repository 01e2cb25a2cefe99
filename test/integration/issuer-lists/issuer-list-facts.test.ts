import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { formatAid } from "../../../src/aitp/aid.ts"
import { Db } from "../../../src/db/Db.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { eventually } from "../../support/db/eventually.ts"
import { waitingFor } from "../../support/db/hold.ts"
import { MirrorSuite } from "../../support/issuer-lists/mirror.ts"
import {
  delegationEvent,
  delegations,
  emptied,
  revokedBy,
  tctEvent,
  tcts
} from "../../support/issuer-lists/observed.ts"
import { report } from "../../support/projections/ledger.ts"

/** `PROPERTY_SEED` repeats the run whose failure printed it. */
const seed = Number(process.env["PROPERTY_SEED"] ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 30)

const [a, b, c, x] = [makeAgent(), makeAgent(), makeAgent(), makeAgent()]
/** The other spelling of `a`. */
const otherA = formatAid("ed25519", a.raw, "ed25519")

const SECS = 1_767_225_600
const at = (secs: number) => new Date((SECS + secs) * 1000)

const revoked = (jti: string) =>
  Effect.map(delegations(), (found) => {
    const row = found.find((each) => each.jti === jti)
    return row === undefined ? undefined : [row.revokedAt, row.revokedReason]
  })

// What is reported, and what lists say, over few parties and ids, so that issuers use each other's ids.
const names = ["a", "b", "c", "x"] as const
type Name = (typeof names)[number]
const aidOf: Readonly<Record<Name, string>> = { a: a.aid, b: b.aid, c: c.aid, x: x.aid }
const uuid = (n: number) => `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`

type Fact =
  | { readonly kind: "tct"; readonly issuer: Name; readonly subject: Name; readonly id: number }
  | {
      readonly kind: "delegation"
      readonly id: number
      readonly parent: number
      readonly from: Name
      readonly to: Name
    }
  | { readonly kind: "list"; readonly issuer: Name; readonly id: number; readonly secs: number }

const name = fc.constantFrom(...names)
const id = fc.integer({ min: 1, max: 5 })
const world: fc.Arbitrary<ReadonlyArray<Fact>> = fc
  .record({
    // One TCT for an issuer and an id, one delegation for an id: reports that differ are about something else.
    tcts: fc.uniqueArray(fc.record({ kind: fc.constant("tct" as const), issuer: name, subject: name, id }), {
      selector: (tct) => `${tct.issuer} ${tct.id}`,
      maxLength: 6
    }),
    delegations: fc.uniqueArray(
      fc.record({ kind: fc.constant("delegation" as const), id, parent: id, from: name, to: name }),
      { selector: (delegation) => delegation.id, maxLength: 5 }
    ),
    lists: fc.uniqueArray(
      fc.record({
        kind: fc.constant("list" as const),
        issuer: name,
        id,
        secs: fc.integer({ min: 1, max: 4 })
      }),
      { selector: (entry) => `${entry.issuer} ${entry.id}`, maxLength: 6 }
    )
  })
  .map(({ delegations, lists, tcts }) => [...tcts, ...delegations, ...lists])

const order = world.chain((facts) => fc.shuffledSubarray([...facts], { minLength: facts.length }))

const happens = Effect.fnUntraced(function* (fact: Fact) {
  switch (fact.kind) {
    case "tct":
      return yield* report([tctEvent(aidOf[fact.issuer], aidOf[fact.subject], uuid(fact.id))])
    case "delegation":
      return yield* report([
        delegationEvent(aidOf[fact.from], aidOf[fact.to], uuid(fact.id), uuid(fact.parent))
      ])
    case "list":
      return yield* revokedBy(aidOf[fact.issuer], uuid(fact.id), SECS + fact.secs)
  }
})

const holds = Effect.fnUntraced(function* (facts: ReadonlyArray<Fact>) {
  yield* emptied
  for (const fact of facts) yield* happens(fact)
  assert.deepEqual(yield* stored, expected(facts))
})

/** What must hold, computed from the whole set at once. */
const expected = (facts: ReadonlyArray<Fact>) => {
  const listed = facts.filter((fact) => fact.kind === "list")
  const given = facts.filter((fact) => fact.kind === "delegation")
  const seen = facts.filter((fact) => fact.kind === "tct")
  const said = (issuer: Name, id: number) =>
    listed.find((entry) => entry.issuer === issuer && entry.id === id)?.secs
  const earliest = (times: ReadonlyArray<number | undefined>) => {
    const known = times.filter((secs) => secs !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }
  /** From above, along the parents. */
  const inherited = (
    child: Extract<Fact, { kind: "delegation" }>,
    met: ReadonlySet<number>
  ): number | undefined => {
    const above = given.find(({ id }) => id === child.parent)
    const givers = [
      ...seen
        .filter((tct) => tct.id === child.parent && tct.subject === child.from)
        .map(({ issuer }) => issuer),
      ...(above !== undefined && above.to === child.from ? [above.from] : [])
    ]
    return earliest([
      ...givers.map((issuer) => said(issuer, child.parent)),
      above === undefined || met.has(above.id) ? undefined : inherited(above, new Set([...met, above.id]))
    ])
  }
  return {
    tcts: seen
      .map((tct) => `${uuid(tct.id)} ${aidOf[tct.issuer]} ${said(tct.issuer, tct.id) ?? "-"}`)
      .toSorted(),
    delegations: given
      .map((each) => {
        const own = said(each.from, each.id)
        return `${uuid(each.id)} ${own ?? inherited(each, new Set([each.id])) ?? "-"} ${own === undefined ? "" : "explicit"}`
      })
      .toSorted()
  }
}

const secsOf = (time: Date | null) => (time === null ? "-" : time.getTime() / 1000 - SECS)

const stored = Effect.gen(function* () {
  return {
    tcts: (yield* tcts())
      .map(({ issuer, jti, revokedAt }) => `${jti} ${issuer} ${secsOf(revokedAt)}`)
      .toSorted(),
    delegations: (yield* delegations())
      .map(
        ({ jti, revokedAt, revokedReason }) =>
          `${jti} ${secsOf(revokedAt)} ${revokedReason === "explicit" ? "explicit" : ""}`
      )
      .toSorted()
  }
})

layer(MirrorSuite, { timeout: "120 seconds", excludeTestServices: true })(
  `what issuers' lists revoke, seed ${seed}`,
  (it) => {
    it.effect("is shown on their own TCTs, beside what operators and reports say", () =>
      Effect.gen(function* () {
        yield* emptied
        const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()]
        yield* report([
          tctEvent(a.aid, b.aid, first),
          tctEvent(a.aid, b.aid, second),
          tctEvent(a.aid, b.aid, third)
        ])
        assert.strictEqual(yield* revokedBy(a.aid, first, SECS + 5), 1)
        yield* report([
          { type: "tct.revoked", ts: at(3).toISOString(), payload: { jti: first, reason: "told" } }
        ])
        yield* report([{ type: "tct.revoked", ts: at(3).toISOString(), payload: { jti: second } }])
        const shown = (yield* tcts()).map(({ jti, revoked, revokedAt, revokedBy, revokedReason }) => [
          jti,
          revoked,
          revokedAt,
          revokedBy,
          revokedReason
        ])
        assert.sameDeepMembers(shown, [
          [first, true, at(3), ["issuer", "report"], "told"],
          [second, true, at(3), ["report"], null],
          [third, false, null, [], null]
        ])
        assert.deepEqual(
          (yield* tcts(true)).map(({ jti }) => jti),
          [third]
        )
      })
    )

    it.effect("is never another issuer's TCT or delegation with the same id", () =>
      Effect.gen(function* () {
        yield* emptied
        const [root, hop] = [randomUUID(), randomUUID()]
        yield* report([
          tctEvent(a.aid, b.aid, root),
          tctEvent(x.aid, c.aid, root),
          delegationEvent(b.aid, c.aid, hop, root)
        ])
        yield* revokedBy(x.aid, root, SECS)
        yield* revokedBy(x.aid, hop, SECS)
        yield* revokedBy(c.aid, hop, SECS)
        const shown = (yield* tcts()).map(({ issuer, revokedBy }) => [issuer, revokedBy])
        assert.sameDeepMembers(shown, [
          [a.aid, []],
          [x.aid, ["issuer"]]
        ])
        assert.deepEqual(yield* revoked(hop), [null, null])
        assert.lengthOf(yield* delegations(true), 1)
      })
    )

    it.effect("reaches what was delegated from a TCT or a delegation, and says which was meant", () =>
      Effect.gen(function* () {
        yield* emptied
        const [root, first, second] = [randomUUID(), randomUUID(), randomUUID()]
        yield* report([
          tctEvent(a.aid, b.aid, root),
          delegationEvent(b.aid, c.aid, first, root),
          delegationEvent(c.aid, x.aid, second, first)
        ])
        yield* revokedBy(b.aid, first, SECS + 9)
        assert.deepEqual(yield* revoked(first), [at(9), "explicit"])
        assert.deepEqual(yield* revoked(second), [at(9), "parent_revoked"])
        yield* revokedBy(a.aid, root, SECS + 4)
        assert.deepEqual(yield* revoked(first), [at(9), "explicit"])
        assert.deepEqual(yield* revoked(second), [at(4), "parent_revoked"])
        const tree = yield* (yield* DelegationTrees).tree(root, visibleToAll)
        const shown: ReadonlyArray<Readonly<Record<string, unknown>>> = JSON.parse(tree.json)
        assert.deepEqual(
          shown.map(({ jti, revokedAt, revokedReason }) => [jti, revokedAt, revokedReason]).toSorted(),
          [
            [first, at(9).toISOString(), "explicit"],
            [second, at(4).toISOString(), "parent_revoked"]
          ].toSorted()
        )
        assert.lengthOf(yield* delegations(true), 0)
      })
    )

    it.effect("is theirs in either spelling of their AID", () =>
      Effect.gen(function* () {
        yield* emptied
        const [root, hop, own] = [randomUUID(), randomUUID(), randomUUID()]
        yield* revokedBy(otherA, root, SECS)
        yield* revokedBy(otherA, own, SECS + 1)
        yield* report([
          tctEvent(a.aid, a.aid, root),
          delegationEvent(otherA, c.aid, hop, root),
          delegationEvent(a.aid, c.aid, own, randomUUID())
        ])
        assert.deepEqual((yield* tcts())[0]?.revokedBy, ["issuer"])
        assert.deepEqual(yield* revoked(hop), [at(0), "parent_revoked"])
        assert.deepEqual(yield* revoked(own), [at(1), "explicit"])
      })
    )

    it.effect("keeps its earliest time, and is written once", () =>
      Effect.gen(function* () {
        yield* emptied
        const [root, hop] = [randomUUID(), randomUUID()]
        yield* report([tctEvent(a.aid, b.aid, root), delegationEvent(b.aid, c.aid, hop, root)])
        assert.strictEqual(yield* revokedBy(a.aid, root, SECS + 5), 1)
        assert.strictEqual(yield* revokedBy(a.aid, root, SECS + 5), 0)
        assert.strictEqual(yield* revokedBy(a.aid, root, SECS + 7), 0)
        assert.strictEqual(yield* revokedBy(a.aid, root, SECS + 2), 1)
        assert.deepEqual((yield* tcts())[0]?.revokedAt, at(2))
        assert.deepEqual(yield* revoked(hop), [at(2), "parent_revoked"])
      })
    )

    it.effect("waits for an append that is under way, whose delegations it could not see", () =>
      Effect.gen(function* () {
        yield* emptied
        const { withTransaction } = yield* Db
        const [root, hop] = [randomUUID(), randomUUID()]
        yield* report([tctEvent(a.aid, b.aid, root)])
        const go = yield* Deferred.make<void>()
        const recording = yield* Effect.forkChild(
          Effect.andThen(Deferred.await(go), revokedBy(a.aid, root, SECS))
        )
        yield* withTransaction(
          Effect.gen(function* () {
            yield* report([delegationEvent(b.aid, c.aid, hop, root)])
            yield* Deferred.succeed(go, undefined)
            yield* eventually(waitingFor("record_issuer_revocations"), (count) => count > 0, 1500)
          })
        )
        yield* Fiber.join(recording)
        assert.deepEqual(yield* revoked(hop), [at(0), "parent_revoked"])
      })
    )

    it.effect(
      "is the same for every order in which lists, TCTs and delegations become known",
      () =>
        Effect.gen(function* () {
          const context = yield* Effect.context<Effect.Services<ReturnType<typeof holds>>>()
          const run = Effect.runPromiseWith(context)
          const always = fc.asyncProperty(order, (facts) => run(holds(facts)))
          yield* Effect.promise(() => fc.assert(always, { numRuns: RUNS, seed }))
        }),
      120_000
    )
  }
)
