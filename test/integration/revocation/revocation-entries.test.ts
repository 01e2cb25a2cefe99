import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Layer, Option, type Scope } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import { unfiltered } from "../../../src/events/history.ts"
import { CascadeAnnouncer } from "../../../src/revocation/CascadeAnnouncer.ts"
import { ListAnnouncer } from "../../../src/revocation/ListAnnouncer.ts"
import { ListPublisher } from "../../../src/revocation/ListPublisher.ts"
import { RevocationCascades } from "../../../src/revocation/RevocationCascades.ts"
import { RevocationEntries } from "../../../src/revocation/RevocationEntries.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"
import { eventually } from "../../support/db/eventually.ts"
import { report } from "../../support/projections/ledger.ts"
import { aged, on, replica, revoke, RevocationSuite } from "../../support/revocation/Revocation.ts"
import { delegation, reportTree, tree } from "../../support/revocation/trees.ts"

const fresh = <E>(
  name: string,
  test: Effect.Effect<unknown, E, Layer.Success<typeof RevocationSuite> | Scope.Scope>
) => it.live(name, () => Effect.scoped(test).pipe(Effect.provide(Layer.fresh(RevocationSuite))))

/** Events of the ledger by position, without those about the list itself. */
const events = (type?: string) =>
  Effect.flatMap(AuditEvents, ({ history }) =>
    history({ ...unfiltered, type, order: "asc", limit: 10_000, offset: 0, after: undefined }, visibleToAll)
  ).pipe(Effect.map((found) => found.toSorted((a, b) => a.seq - b.seq)))

const payloads = (type: string) =>
  Effect.map(events(type), (found) =>
    found.map(({ payload }) => JSON.parse(payload ?? "null") as Record<string, unknown>)
  )

/** The delegations below a TCT, as they are read. */
const below = (root: string) =>
  Effect.flatMap(DelegationTrees, ({ tree }) => tree(root, visibleToAll)).pipe(
    Effect.map(
      ({ json }) =>
        JSON.parse(json) as ReadonlyArray<{
          readonly revokedAt: string | null
          readonly revokedReason: string | null
        }>
    )
  )

describe("a revocation", () => {
  fresh(
    "writes entry, event, fact and audit row once, however often and by however many it is asked for",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const jti = randomUUID()
      const other = yield* replica()
      const answers = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, n) => n),
        (n) => {
          const asked = revoke({ jti, reason: `from ${n}`, revokedAt: new Date(1000 * n) })
          return n % 2 === 0 ? asked : on(other)(asked)
        },
        { concurrency: "unbounded" }
      )
      const [first, ...others] = answers.filter(({ alreadyRevoked }) => !alreadyRevoked)
      assert.isDefined(first)
      assert.deepEqual(others, [])
      for (const { alreadyRevoked: _, ...answer } of answers) assert.deepInclude(first, answer)

      const announced = yield* events()
      assert.strictEqual(announced.length, 1)
      assert.deepInclude(announced[0], {
        type: "tct.revoked",
        source: "cp",
        payload: JSON.stringify({ jti, reason: first?.reason }),
        ts: first?.revokedAt,
        aidA: null,
        aidB: null
      })
      const counts = yield* sql`
        select
          (select count(*)::int from revocation_entries) as entries,
          (select count(*)::int from revocation_facts where source = 'operator') as facts,
          (select count(*)::int from admin_audit_log) as acts`
      assert.deepEqual(counts, [{ entries: 1, facts: 1, acts: 1 }])
      const [act] = yield* sql`select action, actor_id, target_id, details, request_id from admin_audit_log`
      assert.deepEqual(act, {
        action: "revocation.add",
        actorId: "system",
        targetId: jti,
        details: { reason: first?.reason ?? null },
        requestId: "tests"
      })
    })
  )

  fresh(
    "takes its issuer from the request, else from the TCT that was observed, a verified one first",
    Effect.gen(function* () {
      const [issuer, subject, liar] = [makeAgent(), makeAgent(), makeAgent()]
      const verified = mintTct(issuer, subject)
      const lie = { jti: verified.claims.jti, iss: liar.aid, sub: "x" }
      yield* report([{ type: "tct.issued", ts: 1, payload: { tct: lie } }])
      yield* report([{ type: "tct.issued", payload: { tct: { token: verified.token } } }])
      const { jti } = verified.claims
      assert.deepInclude(yield* revoke({ jti }), { issuer: issuer.aid })
      assert.deepEqual(yield* payloads("tct.revoked"), [{ jti, reason: null, issuer: issuer.aid }])

      const hearsay = randomUUID()
      yield* report([{ type: "tct.issued", payload: { tct: { jti: hearsay, iss: "agent-1", sub: "x" } } }])
      assert.deepInclude(yield* revoke({ jti: hearsay }), { issuer: "agent-1" })
      const named = randomUUID()
      yield* report([{ type: "tct.issued", payload: { tct: { jti: named, iss: "agent-1", sub: "x" } } }])
      assert.deepInclude(yield* revoke({ jti: named, issuer: liar.aid }), { issuer: liar.aid })
      assert.deepInclude(yield* revoke(), { issuer: null })
      const page = { issuers: undefined, since: undefined, limit: 10, offset: 0, after: undefined }
      const { list } = yield* RevocationEntries
      const of = (issuers: ReadonlyArray<string>) =>
        Effect.map(list({ ...page, issuers }, visibleToAll), (found) => found.length)
      assert.strictEqual(yield* of([issuer.aid]), 1)
      assert.strictEqual(yield* of(["agent-1"]), 1)
      assert.strictEqual(yield* of(["agent-2"]), 0)
    })
  )

  fresh(
    "revokes everything below at once, counts it, and tells the ledger of each delegation exactly once",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const root = randomUUID()
      const nodes = tree(root, 4, 300)
      const other = randomUUID()
      yield* reportTree([...nodes, { jti: other, parent: randomUUID() }])
      yield* report([{ type: "tct.issued", payload: { tct: { jti: root, iss: "agent-1", sub: "x" } } }])
      yield* sql`
        insert into webhooks (id, url, secret_enc, key_id, secret_hint, created_at, updated_at)
        values (gen_random_uuid(), 'https://203.0.113.1/', '', 'k', 'hint', now(), now())`
      const revokedAt = new Date("2026-01-02T03:04:05.678Z")
      const { cascade } = yield* revoke({ jti: root, revokedAt })
      assert.deepEqual(cascade.counts, { tcts: 1, delegations: 1200 })
      assert.deepEqual(cascade.tcts, [root])
      assert.strictEqual(cascade.delegations.length, 1000)
      assert.includeMembers(
        nodes.map(({ jti }) => jti),
        [...cascade.delegations]
      )

      const shown = yield* below(root)
      assert.strictEqual(shown.length, 1200)
      assert.isTrue(
        shown.every(
          (row) => row.revokedAt === revokedAt.toISOString() && row.revokedReason === "parent_revoked"
        )
      )

      const announced = yield* eventually(events("delegation.revoked"), (found) => found.length >= 1200)
      yield* eventually(sql`select from revocation_cascades`, (left) => left.length === 0)
      assert.strictEqual((yield* events("delegation.revoked")).length, 1200)
      assert.isTrue(
        announced.every(({ source, ts }) => source === "cp" && ts.getTime() === revokedAt.getTime())
      )
      yield* revoke({ jti: root })
      const deliveries = yield* sql`select event_type from webhook_deliveries`
      assert.deepEqual(deliveries, [{ eventType: "tct.revoked" }])
      const said = yield* payloads("delegation.revoked")
      assert.sameMembers(
        said.map(({ jti }) => String(jti)),
        nodes.map(({ jti }) => jti)
      )
      assert.isTrue(said.every(({ reason, root: of }) => reason === "parent_revoked" && of === root))
      // they are no facts: the reason must stay the parent's
      const [facts] = yield* sql`select count(*)::int as n from revocation_facts`
      assert.deepEqual(facts, { n: 1 })
      assert.isTrue((yield* below(root)).every(({ revokedReason }) => revokedReason === "parent_revoked"))
    })
  )

  fresh(
    "has the events of its cascade written by whoever comes after a crash, none twice",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const cascades = yield* RevocationCascades
      const root = randomUUID()
      const nodes = tree(root, 3, 10)
      yield* reportTree(nodes)
      // as long as somebody else is at it, nothing is written here
      yield* sql`
        insert into revocation_cascades (root, revoked_at, delegations, created_at)
        values (${root}::uuid, now(), ${nodes.map(({ jti }) => jti)}::uuid[], now())`
      const dead = Option.getOrThrow(yield* cascades.claim(7))
      assert.strictEqual(dead.delegations.length, 7)
      const announcer = yield* CascadeAnnouncer
      assert.strictEqual(yield* announcer.runOnce, 0)
      // it died with the chunk written but not noted, and another one begun
      const second = Option.getOrThrow(yield* cascades.advance(dead, 7))
      yield* sql`update revocation_cascades set claimed_until = clock_timestamp() - interval '1 ms'`
      const other = yield* replica()
      const written = yield* Effect.all(
        [announcer.runOnce, on(other)(Effect.flatMap(CascadeAnnouncer, ({ runOnce }) => runOnce))],
        {
          concurrency: "unbounded"
        }
      )
      assert.strictEqual(written[0] + written[1], 23)
      // the sleeper wakes up: it can neither go on nor repeat
      assert.isTrue(Option.isNone(yield* cascades.advance(second, 7)))
      assert.strictEqual((yield* events("delegation.revoked")).length, 23)
      // the same delegations again under the same root: known
      yield* sql`
        insert into revocation_cascades (root, revoked_at, delegations, created_at)
        values (${root}::uuid, now(), ${nodes.map(({ jti }) => jti)}::uuid[], now())`
      yield* announcer.runOnce
      assert.strictEqual((yield* events("delegation.revoked")).length, 30)
      assert.deepEqual(yield* sql`select from revocation_cascades`, [])
    })
  )

  fresh(
    "ends at a cycle of parents, and applies to what is reported after it",
    Effect.gen(function* () {
      const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()]
      yield* report([delegation(a, c), delegation(b, a), delegation(c, b)])
      const { cascade } = yield* revoke({ jti: a })
      assert.deepEqual(cascade.delegations, [a, ...[b, c].toSorted()])
      yield* eventually(events("delegation.revoked"), (found) => found.length === 2)

      const [tct, late, later] = [randomUUID(), randomUUID(), randomUUID()]
      const unknown = yield* revoke({ jti: tct })
      assert.deepEqual(unknown.cascade, { tcts: [], delegations: [], counts: { tcts: 0, delegations: 0 } })
      yield* report([delegation(later, late)])
      yield* report([delegation(late, tct)])
      const reasons = (yield* below(tct)).map(({ revokedReason }) => revokedReason)
      assert.deepEqual(reasons, ["parent_revoked", "parent_revoked"])
      const again = yield* revoke({ jti: tct })
      assert.deepInclude(again, { alreadyRevoked: true })
      assert.strictEqual(again.cascade.counts.delegations, 2)
    })
  )
})

describe("a published list", () => {
  fresh(
    "is announced once in the ledger when its entries changed, by any replica",
    Effect.gen(function* () {
      const publisher = yield* ListPublisher
      const { sql } = yield* Db
      yield* publisher.ensure
      const other = yield* replica()
      for (let n = 0; n < 3; n += 1) {
        const { jti } = yield* revoke()
        yield* aged(10)
        yield* publisher.covering(jti)
        yield* aged(100)
        yield* publisher.runOnce // unchanged
      }
      const announcers = [yield* ListAnnouncer, yield* on(other)(ListAnnouncer)]
      yield* sql`update revocation_lists set announced = false where changed`
      yield* Effect.forEach(announcers, ({ runOnce }) => runOnce, { concurrency: "unbounded" })
      const announced = yield* payloads("revocation.list_published")
      const versions = yield* sql`
        select version::int as version, encode(sha256, 'hex') as sha256, entries
        from revocation_lists l where l.changed order by l.version`
      assert.strictEqual(versions.length, 3)
      assert.deepEqual(announced, versions as ReadonlyArray<Record<string, unknown>>)
      assert.deepEqual(yield* sql`select from revocation_lists where not announced`, [])
      assert.deepEqual(
        (yield* events()).filter(({ type }) => type === "revocation.list_published"),
        []
      )
    })
  )
})
