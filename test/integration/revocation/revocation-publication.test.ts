import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { Effect, Fiber, Layer, Option, type Scope } from "effect"
import * as fc from "fast-check"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { Db } from "../../../src/db/Db.ts"
import { ListPublisher } from "../../../src/revocation/ListPublisher.ts"
import type { ListSnapshot } from "../../../src/revocation/model.ts"
import { type Claim, PublicationClaims } from "../../../src/revocation/PublicationClaims.ts"
import { RevocationEntries } from "../../../src/revocation/RevocationEntries.ts"
import { RevocationList } from "../../../src/revocation/RevocationList.ts"
import { type NewVersion, RevocationLists } from "../../../src/revocation/RevocationLists.ts"
import { eventually } from "../../support/db/eventually.ts"
import {
  aged,
  insertEntries,
  on,
  replica,
  revoke,
  RevocationSuite
} from "../../support/revocation/Revocation.ts"
import { listFault, type SignedList } from "../../support/service/verify-list.ts"

const DUE = { maxAgeSecs: 0, inputHash: undefined }

/** The newest version as it is stored; its three forms must agree and verify. */
const newest = Effect.gen(function* () {
  const lists = yield* RevocationLists
  const { version } = Option.getOrThrow(yield* lists.newest)
  const snapshot = Option.getOrThrow(yield* lists.load(version))
  return { ...snapshot, list: read(snapshot) }
})

const read = ({ body, br, entries, gzip }: ListSnapshot, form?: "inner" | "wrapped") => {
  const text = Buffer.from(body).toString("utf8")
  assert.isUndefined(listFault(text, form))
  assert.strictEqual(gunzipSync(gzip).toString("utf8"), text)
  assert.strictEqual(brotliDecompressSync(br).toString("utf8"), text)
  const list = (JSON.parse(text) as SignedList).revocation_list
  assert.strictEqual(list.entries.length, entries)
  return list
}

const idsOf = ({ entries }: SignedList["revocation_list"]) => entries.map(({ jti }) => jti).toSorted()

/** Publishes what is not published, however young the newest list is. */
const publish = Effect.gen(function* () {
  yield* aged(100)
  yield* (yield* ListPublisher).runOnce
  return yield* newest
})

const claimed = Effect.gen(function* () {
  const claim = yield* (yield* PublicationClaims).claim(DUE)
  if ("_tag" in claim) return yield* Effect.die(new Error(claim._tag))
  return claim
})

const versionAfter = ({ publishedAt }: Claim): NewVersion => ({
  publishedAt,
  expiresAt: publishedAt + 100,
  entries: 0,
  coversSeq: 0,
  sha256: Buffer.alloc(32),
  body: Buffer.from("{}"),
  gzip: Buffer.alloc(0),
  br: Buffer.alloc(0),
  added: [],
  removed: [],
  inputHash: Buffer.alloc(32)
})

/** On a database of its own, which nothing has been published in. */
const fresh = <E>(
  name: string,
  test: Effect.Effect<unknown, E, Layer.Success<typeof RevocationSuite> | Scope.Scope>
) => it.live(name, () => Effect.scoped(test).pipe(Effect.provide(Layer.fresh(RevocationSuite))))

describe("the signed list", () => {
  fresh(
    "is at first the signed empty list, and not made again while it is young",
    Effect.gen(function* () {
      const publisher = yield* ListPublisher
      yield* publisher.ensure
      const first = yield* newest
      assert.deepInclude(first, { version: 1, entries: 0, changed: false, coversSeq: 0 })
      assert.strictEqual(first.list.expires_at, first.list.published_at + 3600)
      yield* publisher.ensure
      yield* publisher.runOnce
      assert.strictEqual((yield* newest).version, 1)
      yield* aged(44)
      yield* publisher.runOnce
      assert.strictEqual((yield* newest).version, 1)
      yield* aged(2)
      yield* publisher.runOnce
      const second = yield* newest
      assert.deepInclude(second, { version: 2, entries: 0, changed: false })
      assert.deepEqual(yield* (yield* RevocationLists).unannounced(10), [])
    })
  )

  fresh(
    "names every entry in canonical JSON, in order, beyond what one row of a read holds",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { readEntries } = yield* RevocationLists
      const context = yield* Effect.context<Effect.Services<typeof readEntries>>()
      const reason = fc.oneof(
        fc.constant(null),
        fc.string({ unit: "binary", maxLength: 20 }).map((text) => text.replaceAll("\0", "").toWellFormed()),
        fc.string({
          unit: fc.integer({ min: 1, max: 0x9f }).map((code) => String.fromCharCode(code)),
          maxLength: 20
        }),
        fc.constantFrom("\u2028\u2029/<&>'", '"\\', "\b\t\n\f\r\u000b\u001f\u007f", "e\u0301é𝄞ﬃ")
      )
      const entries = fc.uniqueArray(
        fc.record({ jti: fc.uuid(), ms: fc.integer({ min: 0, max: 5000 }), reason }),
        { selector: ({ jti }) => jti, maxLength: 40 }
      )
      const holds = Effect.fnUntraced(function* (
        given: ReadonlyArray<{ jti: string; ms: number; reason: string | null }>
      ) {
        yield* sql`delete from revocation_entries`
        for (const { jti, ms, reason } of given) {
          yield* sql`
            insert into revocation_entries (jti, issuer_given, revoked_at, reason, actor_id, event_seq, created_at)
            values (${jti}::uuid, false, ${new Date(ms)}::timestamptz, ${reason}, 'tests', 7, now())`
        }
        const expected = given
          .map(({ jti, ms, reason }) => ({
            jti,
            revoked_at: Math.floor(ms / 1000),
            ...(reason === null ? {} : { reason })
          }))
          .toSorted((a, b) => a.revoked_at - b.revoked_at || (a.jti < b.jti ? -1 : 1))
        const found = yield* readEntries
        assert.strictEqual(`[${Buffer.from(found.text).toString("utf8")}]`, canonicalJson(expected))
        assert.deepInclude(found, { count: given.length, coversSeq: given.length === 0 ? 0 : 7 })
      })
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(entries, (given) => Effect.runPromiseWith(context)(holds(given))),
          { numRuns: 60 }
        )
      )
      yield* sql`delete from revocation_entries`
      yield* insertEntries(4500, "é")
      const { count, text } = yield* readEntries
      const listed = JSON.parse(`[${Buffer.from(text).toString("utf8")}]`) as ReadonlyArray<{
        readonly revoked_at: number
      }>
      assert.strictEqual(count, 4500)
      assert.strictEqual(listed.length, 4500)
      assert.isTrue(
        listed.every(({ revoked_at }, n) => n === 0 || revoked_at > (listed[n - 1]?.revoked_at ?? 0))
      )
    })
  )

  fresh(
    "follows every revocation with a version that names all of them, and says which one",
    Effect.gen(function* () {
      const publisher = yield* ListPublisher
      const revoked: Array<string> = []
      const times: Array<number> = []
      for (let n = 1; n <= 4; n += 1) {
        const { jti } = yield* revoke({ reason: `r${n}` })
        revoked.push(jti)
        const version = yield* publisher.covering(jti)
        const { list, ...found } = yield* newest
        assert.deepInclude(found, { version: version ?? 0, entries: n, changed: true })
        assert.deepEqual(idsOf(list), revoked.toSorted())
        assert.isAtMost(list.published_at, Date.now() / 1000 + 1)
        times.push(list.published_at)
        const served = yield* (yield* RevocationList).current
        assert.strictEqual(served.version, version)
      }
      assert.isTrue(times.every((time, n) => n === 0 || time > (times[n - 1] ?? 0)))
      // it stays the same version for ever
      assert.strictEqual(yield* publisher.covering(revoked[1] ?? ""), 2)
    })
  )

  fresh(
    "names revocations that come together in few versions",
    Effect.gen(function* () {
      const publisher = yield* ListPublisher
      const other = yield* replica()
      const versions = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, n) => n),
        (n) =>
          Effect.gen(function* () {
            const { jti } = yield* revoke()
            const { covering } = n % 2 === 0 ? publisher : yield* on(other)(ListPublisher)
            return yield* covering(jti)
          }),
        { concurrency: "unbounded" }
      )
      assert.isAtMost(Math.max(...versions.map(Number)), 5)
      assert.notInclude(versions, null)
      assert.strictEqual((yield* newest).entries, 60)
      // A replica may be a moment behind what another one has published.
      for (const { current } of [yield* RevocationList, yield* on(other)(RevocationList)]) {
        yield* eventually(current, ({ entries }) => entries === 60)
      }
    })
  )

  fresh(
    "records exactly how each version differs from the one before",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const [a, b] = [(yield* revoke({ reason: "why" })).jti, (yield* revoke()).jti]
      yield* publish
      const c = (yield* revoke()).jti
      yield* publish
      yield* sql`update revocation_entries set drop_after = clock_timestamp() where jti = ${a}::uuid`
      assert.deepEqual(idsOf((yield* publish).list), [b, c].toSorted())
      yield* publish
      const changes = yield* sql<{
        readonly version: number
        readonly op: string
        readonly jti: string
        reason: string | null
      }>`
        select version::int as version, op::text as op, jti, reason from revocation_list_changes`
      const said = changes.map(({ jti, op, reason, version }) => `${version}${op}${jti} ${reason}`)
      assert.sameMembers(said, [`1+${a} why`, `1+${b} null`, `2+${c} null`, `3-${a} why`])
      const flags = yield* sql<{
        readonly changed: boolean
      }>`select changed from revocation_lists order by version`
      assert.deepEqual(
        flags.map(({ changed }) => changed),
        [true, true, true, false]
      )
    })
  )

  fresh(
    "keeps the bodies of three versions, and rows for a week",
    Effect.gen(function* () {
      const { sql } = yield* Db
      for (let n = 0; n < 5; n += 1) {
        yield* revoke()
        yield* publish
      }
      const rows = sql<{ readonly version: number; readonly kept: boolean }>`
        select version::int as version, body is not null and body_gzip is not null and body_br is not null as kept
        from revocation_lists order by revocation_lists.version`
      assert.deepEqual(
        (yield* rows).map(({ kept }) => kept),
        [false, false, true, true, true]
      )
      yield* sql`update revocation_lists set created_at = now() - interval '8 days' where version <= 4`
      yield* publish
      // never one of the newest, however old
      assert.deepEqual(
        (yield* rows).map(({ version }) => version),
        [4, 5, 6]
      )
      yield* publish
      const changes = yield* sql<{ readonly version: number }>`
        select distinct version::int as version from revocation_list_changes order by 1`
      assert.deepEqual(
        changes.map(({ version }) => version),
        [5]
      )
    })
  )

  fresh(
    "is not published when an entry would be missing, and the last one stays",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const publisher = yield* ListPublisher
      const gone = yield* revoke()
      yield* revoke()
      const before = yield* publish
      yield* sql`create table lost as select * from revocation_entries where jti = ${gone.jti}::uuid`
      yield* sql`delete from revocation_entries where jti = ${gone.jti}::uuid`
      const { jti } = yield* revoke()
      yield* aged(100)
      assert.isNull(yield* publisher.covering(jti))
      const after = yield* newest
      assert.strictEqual(after.version, before.version)
      assert.deepEqual(Buffer.from(after.body), Buffer.from(before.body))
      assert.strictEqual((yield* (yield* RevocationList).current).version, before.version)
      const [row] = yield* sql<{ readonly free: boolean }>`
        select claimed_until is null as free from revocation_publication`
      assert.isTrue(row?.free, "the right to publish was kept")

      // another replica, which has no copy of its own, refuses as well
      const other = yield* replica()
      yield* on(other)(Effect.flatMap(ListPublisher, ({ runOnce }) => runOnce))
      assert.strictEqual((yield* newest).version, before.version)

      yield* sql`insert into revocation_entries select * from lost`
      yield* sql`drop table lost`
      const third = yield* replica()
      yield* on(third)(Effect.flatMap(ListPublisher, ({ runOnce }) => runOnce))
      assert.strictEqual((yield* newest).entries, 3)
    })
  )

  fresh(
    "is not published over a version that cannot be read",
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* revoke()
      yield* publish
      yield* sql`update revocation_lists set body = '{"revocation_list":{}}'`
      yield* aged(100)
      const other = yield* replica()
      yield* on(other)(Effect.flatMap(ListPublisher, ({ runOnce }) => runOnce))
      assert.deepInclude(Option.getOrThrow(yield* (yield* RevocationLists).newest), { version: 1 })
      // nor is such a version served by who has no copy
      assert.strictEqual(
        (yield* Effect.flip(on(other)(Effect.flatMap(RevocationList, ({ current }) => current))))._tag,
        "ListUnavailable"
      )
      assert.strictEqual((yield* (yield* RevocationList).current).entries, 1)
    })
  )

  fresh(
    "is signed anew at the start when its configuration has changed",
    Effect.gen(function* () {
      yield* revoke()
      const old = yield* publish
      const ensured = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
        yield* aged(5)
        yield* on(yield* replica(env))(Effect.flatMap(ListPublisher, ({ ensure }) => ensure))
        const lists = yield* RevocationLists
        const { version } = Option.getOrThrow(yield* lists.newest)
        return Option.getOrThrow(yield* lists.load(version))
      })
      assert.strictEqual((yield* ensured({})).version, old.version)
      const rekeyed = yield* ensured({ REVOCATION_LIST_TTL_SECS: "120" })
      assert.strictEqual(rekeyed.version, old.version + 1)
      assert.strictEqual(read(rekeyed).expires_at, rekeyed.publishedAt + 120)
      const wrapped = yield* ensured({ REVOCATION_SIGNING_FORM: "wrapped" })
      read(wrapped, "wrapped")
      assert.strictEqual(listFault(Buffer.from(wrapped.body).toString("utf8")), "signature fails")

      const strict = yield* ensured({ REVOCATION_LIST_PROFILE: "strict" })
      assert.deepEqual(read(strict).entries, [])
      assert.isTrue(strict.changed)
      const back = yield* ensured({})
      assert.strictEqual(read(back).entries.length, 1)
    })
  )

  fresh(
    "covers a revocation in the strict profile, too, whose list is empty for ever",
    Effect.gen(function* () {
      const strict = yield* replica({ REVOCATION_LIST_PROFILE: "strict" })
      const { covering, ensure } = yield* on(strict)(ListPublisher)
      yield* ensure
      const { jti } = yield* revoke()
      assert.isNumber(yield* covering(jti))
      assert.deepInclude(yield* newest, { entries: 0, changed: false })
      assert.isTrue(Option.isSome(yield* (yield* RevocationEntries).findById(jti, { _tag: "all" })))
    })
  )
})

describe("the right to publish", () => {
  fresh(
    "is one replica's alone until it is given back or runs out",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const claims = yield* PublicationClaims
      const others = yield* on(yield* replica())(PublicationClaims)
      const claim = yield* claimed
      assert.deepEqual(yield* others.claim(DUE), { _tag: "held" })
      assert.isTrue(yield* claims.renew(claim))
      assert.isFalse(yield* others.renew(claim), "renewed by somebody else")
      yield* others.release(claim)
      assert.deepEqual(yield* others.claim(DUE), { _tag: "held" })
      yield* claims.release(claim)
      const next = yield* others.claim(DUE)
      assert.deepInclude(next, { term: claim.term + 1 })
      yield* sql`update revocation_publication set claimed_until = clock_timestamp() - interval '1 ms'`
      assert.deepInclude(yield* claimed, { term: claim.term + 2 })
    })
  )

  fresh(
    "does not survive a pause: whoever slept beyond it publishes nothing",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const lists = yield* RevocationLists
      const claims = yield* PublicationClaims
      const slept = yield* claimed
      yield* sql`update revocation_publication set claimed_until = clock_timestamp() - interval '1 ms'`
      assert.isFalse(yield* lists.publish(slept, versionAfter(slept)), "nobody else had claimed it yet")
      assert.isFalse(yield* claims.renew(slept))
      const others = yield* on(yield* replica())(PublicationClaims)
      const taken = yield* others.claim(DUE)
      assert.isFalse(yield* lists.publish(slept, versionAfter(slept)), "somebody else is at it")
      assert.isFalse("_tag" in taken)
      if ("_tag" in taken) return
      assert.isTrue(yield* lists.publish(taken, versionAfter(taken)))
      assert.isFalse(yield* lists.publish(slept, versionAfter(slept)), "somebody else has published")
      assert.isFalse(yield* lists.publish(taken, versionAfter(taken)), "twice")
      assert.deepInclude(Option.getOrThrow(yield* lists.newest), { version: 1 })
    })
  )

  fresh(
    "is not needed while the list is young and knows every entry, and not to be had ahead of the clock",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const claims = yield* PublicationClaims
      const need = { maxAgeSecs: 45, inputHash: undefined }
      yield* (yield* ListPublisher).ensure
      assert.deepEqual(yield* claims.claim(need), { _tag: "current" })
      yield* sql`update revocation_publication set published_at = floor(extract(epoch from clock_timestamp())) + 1`
      assert.deepEqual(yield* claims.claim(need), { _tag: "current" })
      yield* revoke()
      const early = yield* claims.claim(need)
      assert.deepInclude(early, { _tag: "early" })
      const begun = performance.now()
      yield* (yield* ListPublisher).runOnce
      assert.isBelow(performance.now() - begun, 2500)
      const [row] = yield* sql<{ readonly ahead: number }>`
        select (published_at - extract(epoch from clock_timestamp()))::float8 as ahead from revocation_publication`
      assert.isAtMost(row?.ahead ?? 9, 1)
      assert.strictEqual((yield* newest).entries, 1)
    })
  )

  fresh(
    "held by the dead passes to who waits for it",
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* claimed
      yield* sql`update revocation_publication set claimed_until = clock_timestamp() + interval '1 second'`
      const { jti } = yield* revoke()
      const waiting = yield* Effect.forkChild(Effect.flatMap(ListPublisher, ({ covering }) => covering(jti)))
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    })
  )

  fresh(
    "waits no longer than three seconds for a list that does not come, and the list names it later",
    Effect.gen(function* () {
      const { sql } = yield* Db
      const publisher = yield* ListPublisher
      yield* claimed
      yield* sql`update revocation_publication set claimed_until = clock_timestamp() + interval '1 hour'`
      const { jti } = yield* revoke({ jti: randomUUID() })
      const begun = performance.now()
      assert.isNull(yield* publisher.covering(jti))
      assert.isBelow(performance.now() - begun, 3500)
      yield* sql`update revocation_publication set claimed_until = null`
      yield* publisher.runOnce
      yield* eventually(newest, ({ entries }) => entries === 1)
      assert.strictEqual(yield* publisher.covering(jti), 1)
    })
  )
})
