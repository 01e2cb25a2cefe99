import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Layer, Option } from "effect"
import * as fc from "fast-check"
import { formatAid } from "../../../src/aitp/aid.ts"
import { mintToken } from "../../../src/aitp/jws.ts"
import { Db } from "../../../src/db/Db.ts"
import { ListPublisher } from "../../../src/revocation/ListPublisher.ts"
import { RevocationEntries } from "../../../src/revocation/RevocationEntries.ts"
import { RevocationLists } from "../../../src/revocation/RevocationLists.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"
import { report } from "../../support/projections/ledger.ts"
import { aged, insertEntries, revoke, RevocationSuite } from "../../support/revocation/Revocation.ts"
import type { SignedList } from "../../support/service/verify-list.ts"

/** `PROPERTY_SEED` repeats the run whose failure printed it. */
const seed = Number(process.env["PROPERTY_SEED"] ?? Date.now() % 2 ** 31)

const nowSecs = () => Math.floor(Date.now() / 1000)
const DAY = 86_400

const [issuer, subject, stranger] = [makeAgent(), makeAgent(), makeAgent()]

/** A token with this end, or without one. */
const signed = (by: TestAgent, jti: string, exp: number | undefined) => {
  const { claims, token } = mintTct(by, subject, { jti, exp: exp ?? 1 })
  const { exp: _, ...endless } = claims
  return exp === undefined
    ? { claims: endless, token: mintToken("aitp-tct+jwt", endless, by) }
    : { claims, token }
}

const settle = Effect.flatMap(RevocationEntries, ({ settleExpiry }) => settleExpiry)

/** Seconds until the entry may go, from now; null is never. */
const leaves = (jti: string) =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    yield* settle
    const [row] = yield* sql<{ readonly secs: number | null }>`
      select extract(epoch from drop_after - clock_timestamp())::float8 as secs
      from revocation_entries where jti = ${jti}::uuid`
    return row?.secs ?? null
  })

/** Ids of the newest list, after one was published. */
const listed = Effect.gen(function* () {
  yield* settle
  yield* aged(100)
  yield* (yield* ListPublisher).runOnce
  const lists = yield* RevocationLists
  const { version } = Option.getOrThrow(yield* lists.newest)
  const { body } = Option.getOrThrow(yield* lists.load(version))
  const { revocation_list: list } = JSON.parse(Buffer.from(body).toString("utf8")) as SignedList
  return list.entries.map(({ jti }) => jti)
})

/** Lets this much time pass for everything about entries. */
const later = (secs: number) =>
  Effect.flatMap(
    Db,
    ({ sql }) =>
      sql`update revocation_entries set drop_after = drop_after - make_interval(secs => ${secs}::float8)`
  )

const fresh = <E>(name: string, test: Effect.Effect<unknown, E, Layer.Success<typeof RevocationSuite>>) =>
  it.live(name, () => test.pipe(Effect.provide(Layer.fresh(RevocationSuite))), 90_000)

const tctIssued = (tct: unknown, ts = Date.now()) => ({ type: "tct.issued", ts, payload: { tct } })

describe("an entry of the list", () => {
  fresh(
    "may go a day after its token ends, if its issuer was named and has signed that end",
    Effect.gen(function* () {
      const { claims, token } = mintTct(issuer, subject, { exp: nowSecs() + 3600 })
      const named = yield* revoke({ jti: claims.jti, issuer: issuer.aid })
      assert.isNull(yield* leaves(named.jti))
      yield* report([tctIssued({ token })])
      assert.approximately((yield* leaves(named.jti)) ?? 0, DAY + 3600, 30)

      // the other spelling of the same key is the same issuer
      const other = mintTct(issuer, subject, { exp: nowSecs() + 3600 })
      yield* report([tctIssued({ token: other.token })])
      yield* revoke({ jti: other.claims.jti, issuer: formatAid("ed25519", issuer.raw, "ed25519") })
      assert.approximately((yield* leaves(other.claims.jti)) ?? 0, DAY + 3600, 30)

      assert.sameMembers(yield* listed, [claims.jti, other.claims.jti])
      yield* later(DAY + 3500)
      assert.sameMembers(yield* listed, [claims.jti, other.claims.jti])
      yield* later(200)
      assert.sameMembers(yield* listed, [])
    })
  )

  fresh(
    "never goes because of a report that anybody could make",
    Effect.gen(function* () {
      const entries: Array<string> = []
      const add = Effect.fnUntraced(function* (
        tct: (jti: string) => unknown,
        given: Parameters<typeof revoke>[0] = { issuer: issuer.aid }
      ) {
        const { jti } = yield* revoke(given)
        entries.push(jti)
        yield* report([tctIssued(tct(jti))])
        assert.isNull(yield* leaves(jti), tct.toString())
      })
      const exp = nowSecs() - 10 * DAY
      // not signed; signed by somebody else; signed by somebody else in the issuer's name; without an end
      yield* add((jti) => ({ jti, iss: issuer.aid, sub: subject.aid, exp }))
      yield* add((jti) => ({ token: mintTct(stranger, subject, { jti, exp }).token }))
      yield* add((jti) => ({ token: mintTct(stranger, subject, { jti, exp, iss: issuer.aid }).token }))
      yield* add((jti) => ({ token: signed(issuer, jti, undefined).token }))
      // the wrapper says something else than the token
      yield* add((jti) => {
        const { claims, token } = mintTct(issuer, subject, { jti, exp: nowSecs() + 9 * DAY })
        return { token, claims: { ...claims, exp } }
      })
      // the issuer was not named, but observed: whoever reports first decides who that is
      yield* add((jti) => ({ token: mintTct(issuer, subject, { jti, exp }).token }), {})
      const observed = mintTct(stranger, subject, { exp })
      yield* report([tctIssued({ token: observed.token })])
      yield* add(() => ({ token: observed.token }), { jti: observed.claims.jti })
      assert.sameMembers(yield* listed, entries)
    })
  )

  fresh(
    "stays for a day after a report about a token long dead, and comes back when another one contradicts it",
    Effect.gen(function* () {
      const { jti } = yield* revoke({ issuer: issuer.aid })
      const dead = mintTct(issuer, subject, { jti, exp: nowSecs() - 30 * DAY })
      yield* report([tctIssued({ token: dead.token })])
      assert.approximately((yield* leaves(jti)) ?? 0, DAY, 30)
      yield* later(100)
      assert.approximately((yield* leaves(jti)) ?? 0, DAY - 100, 30, "it does not begin again")
      assert.deepEqual(yield* listed, [jti])
      yield* later(DAY)
      assert.deepEqual(yield* listed, [])
      // the same issuer has used the id for a token that lives
      yield* report([
        tctIssued({ token: mintTct(issuer, subject, { jti, exp: nowSecs() + 900 * DAY }).token })
      ])
      assert.isNull(yield* leaves(jti))
      assert.deepEqual(yield* listed, [jti])
    })
  )

  fresh(
    "is settled page by page",
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* insertEntries(2500)
      yield* sql`update revocation_entries set issuer_given = true, issuer = ${issuer.aid}`
      const { claims, token } = mintTct(issuer, subject, { exp: nowSecs() + 60 })
      yield* report([tctIssued({ token })])
      const last = "ffffffff-ffff-4fff-bfff-fffffffffff"
      yield* sql`
        update revocation_entries set jti = ${`${last}e`}::uuid
        where jti = (select jti from revocation_entries order by revocation_entries.jti desc limit 1)`
      yield* revoke({ jti: claims.jti, issuer: issuer.aid })
      assert.isNotNull(yield* leaves(claims.jti))
      const [left] = yield* sql`select count(*)::int as n from revocation_entries where drop_after is null`
      assert.deepEqual(left, { n: 2500 })
    })
  )

  fresh(
    `stays whatever is reported, in any order (seed ${seed})`,
    Effect.gen(function* () {
      const jtis = Array.from({ length: 6 }, () => randomUUID() as string)
      const aid = fc.constantFrom(
        issuer.aid,
        stranger.aid,
        formatAid("ed25519", issuer.raw, "ed25519"),
        "agent-7"
      )
      const exp = fc.constantFrom(nowSecs() - 400 * DAY, nowSecs() - 1, nowSecs() + 60, undefined, 0)
      const jti = fc.constantFrom(...jtis)
      const signer = fc.constantFrom(issuer, stranger)
      const tct = fc.oneof(
        fc.record({ jti, iss: aid, sub: aid, exp }),
        fc
          .record({ signer, jti, exp })
          .map(({ exp, jti, signer }) => ({ token: signed(signer, jti, exp).token })),
        fc.record({ signer, jti, exp, said: exp }).map(({ exp, jti, said, signer }) => {
          const { claims, token } = signed(signer, jti, exp)
          return { token, claims: { ...claims, exp: said } }
        })
      )
      const item = fc.oneof(
        {
          weight: 3,
          arbitrary: fc.record({
            type: fc.constantFrom("tct.issued", "tct.renewal.issued"),
            payload: fc.record({ tct })
          })
        },
        fc.record({
          type: fc.constantFrom(
            "tct.revoked",
            "delegation.revoked",
            "agent.expired",
            "revocation.list_published"
          ),
          payload: fc.record({ jti, reason: fc.constantFrom("x", null), revoked: fc.constant(false) })
        }),
        fc.record({
          type: fc.constant("delegation.issued"),
          payload: fc.record({ jti, parent_jti: jti, delegator: aid, delegatee: aid })
        })
      )
      const context = yield* Effect.context<Layer.Success<typeof RevocationSuite>>()
      const run = Effect.runPromiseWith(context)
      const known: Array<string> = []
      const holds = Effect.fnUntraced(function* (
        requests: ReadonlyArray<ReadonlyArray<object>>,
        named: ReadonlyArray<boolean>
      ) {
        for (const [n, items] of requests.entries()) {
          const next = jtis[known.length]
          if (next !== undefined && named[n] !== undefined) {
            yield* revoke({ jti: next, issuer: named[n] ? issuer.aid : undefined })
            known.push(next)
          }
          if (items.length > 0) yield* report(JSON.parse(JSON.stringify(items)) as ReadonlyArray<unknown>)
          assert.includeMembers(yield* listed, known)
        }
      })
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(item, { maxLength: 6 }), { minLength: 1, maxLength: 6 }),
            fc.array(fc.boolean(), { maxLength: 3 }),
            (requests, named) => run(holds(requests, named))
          ),
          { numRuns: 25, seed }
        )
      )
      assert.strictEqual(known.length, jtis.length)
    })
  )
})
