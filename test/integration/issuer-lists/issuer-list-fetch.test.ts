import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import type { RevocationList } from "../../../src/aitp/revocation-list.ts"
import { Db } from "../../../src/db/Db.ts"
import { IssuerLists } from "../../../src/issuer-lists/IssuerLists.ts"
import { ListMirror } from "../../../src/issuer-lists/ListMirror.ts"
import type { FailureKind } from "../../../src/issuer-lists/model.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { eventually } from "../../support/db/eventually.ts"
import {
  again,
  copyText,
  current,
  entriesOf,
  leading,
  listText,
  makeDue,
  mirrorWith,
  MirrorSuite,
  nearby,
  nowSecs,
  registered,
  runOnce
} from "../../support/issuer-lists/mirror.ts"
import { report } from "../../support/projections/ledger.ts"
import { listFault } from "../../support/service/verify-list.ts"
import { type Answer, asked, type Issuer, saying, silent, startIssuer } from "../../support/trust/issuer.ts"

const LIST = "/revocations"
const ids = (count: number) => Array.from({ length: count }, () => randomUUID())

/** An issuer whose agent names its list, and the list it answers with. */
const publishing = Effect.fnUntraced(function* (text: (agent: TestAgent) => string) {
  const issuer = yield* startIssuer
  const agent = yield* registered(`${issuer.url}${LIST}`)
  const says = (next: string | Buffer) => issuer.answer(LIST, saying(200, next))
  says(text(agent))
  return { issuer, agent, says }
})

const revocationsBy = (agent: TestAgent) =>
  Effect.flatMap(Db, ({ sql }) =>
    Effect.map(
      sql<{ readonly jti: string }>`
        select r.jti from issuer_revocations r join issuer_lists l on l.issuer_key = r.issuer_key
        where l.aid = ${agent.aid} order by r.jti`,
      (rows) => rows.map(({ jti }) => jti)
    )
  )

const failureOf = (agent: TestAgent) => Effect.map(current(agent), ({ failure }) => failure?.kind)

const pathsOf = ({ requests }: Issuer) => requests.map(({ path }) => path)

const dueInMs = (agent: TestAgent) =>
  Effect.map(current(agent), ({ dueAt }) => (dueAt?.getTime() ?? Number.NaN) - Date.now())

layer(MirrorSuite, { timeout: "60 seconds", excludeTestServices: true })("lists of issuers", (it) => {
  it.effect("are copied byte for byte, whatever their white space and order", () =>
    Effect.gen(function* () {
      const jtis = ids(3)
      const { agent, issuer, says } = yield* publishing((agent) =>
        JSON.stringify(JSON.parse(listText(agent, jtis)), null, 3)
      )
      const sent = JSON.stringify(JSON.parse(listText(agent, jtis.toSorted())), null, 3)
      says(sent)
      assert.strictEqual(yield* runOnce, 1)
      assert.strictEqual(yield* copyText(agent), sent)
      assert.isUndefined(listFault(String(yield* copyText(agent))))
      const { copy, failure, uri } = yield* current(agent)
      assert.isNull(failure)
      assert.strictEqual(uri, `${issuer.url}${LIST}`)
      assert.deepInclude(copy, { entries: 3, form: "inner" })
      assert.closeTo(copy?.checkedAt.getTime() ?? 0, Date.now(), 5000)
      assert.deepEqual(yield* revocationsBy(agent), jtis.toSorted())
      assert.strictEqual(yield* runOnce, 0)
    })
  )

  it.effect("stay as they were through every kind of failure, which is named", () =>
    Effect.gen(function* () {
      const listed = ids(2)
      const { agent, issuer, says } = yield* publishing((agent) => listText(agent, listed))
      yield* runOnce
      const kept = yield* copyText(agent)
      const [other, sound] = [makeAgent(), listText(agent, [...listed, ...ids(1)])]
      const altered = sound.replace(/"revoked_at":(\d)/, '"revoked_at":9$1')
      const cases: ReadonlyArray<readonly [FailureKind, Answer]> = [
        ["issuer", saying(200, listText(other, listed))],
        ["signature", saying(200, listText(other, listed).replaceAll(other.aid, agent.aid))],
        ["signature", saying(200, altered)],
        ["signature", saying(200, listText(agent, listed, {}, "wrapped"))],
        ["expired", saying(200, listText(agent, listed, { expires_at: nowSecs() - 1 }))],
        [
          "rolled_back",
          saying(200, listText(agent, [...listed, ...ids(1)], { published_at: nowSecs() - 999 }))
        ],
        ["shrunk", saying(200, listText(agent, listed.slice(1), { published_at: nowSecs() + 5 }))],
        ["shrunk", saying(200, listText(agent, [], { published_at: nowSecs() + 5 }))],
        ["invalid", saying(200, listText(agent, listed, { published_at: nowSecs() + 999 }))],
        ["invalid", saying(200, listText(agent, listed, { expires_at: 253_402_300_800 }))],
        ["invalid", saying(200, sound.replace('"revocation_list":{', '"revocation_list":{"\\u0000\\n":1,'))],
        [
          "invalid",
          saying(200, sound.replace('{"revocation_list"', '{"version":"aitp/0.2","revocation_list"'))
        ],
        ["invalid", saying(200, sound.replace("aitp/0.2", "aitp/0.1"))],
        ["invalid", saying(200, '{"revocation_list":{"entries":[')],
        ["invalid", saying(200, "<html>")],
        ["invalid", saying(200, "")],
        ["invalid", saying(200, Buffer.alloc(8_388_609, " "))],
        ["invalid", saying(200, "[".repeat(100_000))],
        ["invalid", saying(200, sound, { "content-encoding": "gzip" })],
        ["status", saying(404, "no")],
        ["status", saying(204, "")],
        ["status", saying(304, "")],
        ["status", saying(302, "", { location: `${issuer.url}/elsewhere` })],
        ["unreachable", silent],
        ["unreachable", (_request, response) => void response.writeHead(200).write(sound.slice(0, 20))],
        ["unreachable", (_request, response) => void response.destroy()]
      ]
      issuer.answer("/elsewhere", saying(200, sound))
      for (const [number, [kind, answer]] of cases.entries()) {
        issuer.answer(LIST, answer)
        yield* again(agent)
        const { copy, failure } = yield* current(agent)
        assert.strictEqual(failure?.kind, kind, `${number} ${failure?.reason}`)
        assert.strictEqual(failure?.count, number + 1)
        assert.match(String(failure?.reason), /^[\x20-\x7e]{5,200}$/)
        assert.strictEqual(yield* copyText(agent), kept)
        assert.strictEqual(copy?.entries, 2)
      }
      assert.isFalse(pathsOf(issuer).includes("/elsewhere"))
      assert.deepEqual(yield* revocationsBy(agent), listed.toSorted())
      says(sound)
      yield* again(agent)
      assert.isUndefined(yield* failureOf(agent))
      assert.strictEqual(yield* copyText(agent), sound)
    })
  )

  it.effect("that leave revocations out are not taken, but what they add counts", () =>
    Effect.gen(function* () {
      const [first, second, third] = ids(3)
      assert(first !== undefined && second !== undefined && third !== undefined)
      const { agent, says } = yield* publishing((agent) => listText(agent, [first]))
      yield* runOnce
      const kept = yield* copyText(agent)
      says(listText(agent, [second]))
      yield* again(agent)
      assert.strictEqual(yield* failureOf(agent), "shrunk")
      assert.strictEqual(yield* copyText(agent), kept)
      assert.deepEqual(yield* revocationsBy(agent), [first, second].toSorted())
      says(listText(agent, [third, second.toUpperCase(), first]))
      yield* again(agent)
      assert.isUndefined(yield* failureOf(agent))
      assert.deepEqual(yield* revocationsBy(agent), [first, second, third].toSorted())
    })
  )

  it.effect("may leave out what cannot be valid any more, and everything once the copy has expired", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const day = 86_400
      const subject = makeAgent()
      /** What comes of a list without the entry of the copy, which was revoked so long ago; its token is reported so. */
      const dropped = Effect.fnUntraced(function* (
        revokedSecs: number,
        ends: ReadonlyArray<number> = [],
        overrides: Partial<RevocationList> = {}
      ) {
        const [jti] = ids(1)
        assert(jti !== undefined)
        const { agent, says } = yield* publishing((agent) =>
          listText(agent, [], { entries: [{ jti, revoked_at: nowSecs() - revokedSecs }], ...overrides })
        )
        yield* runOnce
        const claims = { jti, iss: agent.aid, sub: subject.aid }
        for (const end of ends) {
          yield* report([{ type: "tct.issued", payload: { tct: { ...claims, exp: nowSecs() + end } } }])
        }
        if (overrides.expires_at !== undefined) {
          yield* sql`update issuer_lists set expires_at = floor(extract(epoch from clock_timestamp())) where aid = ${agent.aid}`
        }
        says(listText(agent, [], { published_at: nowSecs() + 1 }))
        yield* again(agent)
        // Whatever becomes of the list, the revocation stays.
        assert.deepEqual(yield* revocationsBy(agent), [jti])
        return (yield* failureOf(agent)) ?? "taken"
      })
      // Nobody has seen the token: it is presumed to live for a day.
      assert.strictEqual(yield* dropped(60), "shrunk")
      assert.strictEqual(yield* dropped(day - 60), "shrunk")
      assert.strictEqual(yield* dropped(day + 1), "taken")
      // Its end was reported.
      assert.strictEqual(yield* dropped(60, [-1]), "taken")
      assert.strictEqual(yield* dropped(2 * day, [60]), "shrunk")
      // Reports differ.
      assert.strictEqual(yield* dropped(60, [-1, -2]), "shrunk")
      assert.strictEqual(yield* dropped(2 * day, [60, 70]), "taken")
      // An expired list counts as absent.
      assert.strictEqual(yield* dropped(60, [], { expires_at: nowSecs() + 60 }), "taken")
    })
  )

  it.effect("may leave out tokens whose issuer's manifests have all run out", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const [jti] = ids(1)
      assert(jti !== undefined)
      const { agent } = yield* publishing((agent) => listText(agent, [jti]))
      yield* sql`update agents set manifest_expires_at = clock_timestamp() + interval '1 hour' where aid = ${agent.aid}`
      yield* runOnce
      const [row] = yield* sql<{ readonly ms: number }>`
        select (extract(epoch from presumed_end_at - clock_timestamp()) * 1000)::float8 as ms
        from issuer_revocations where jti = ${jti}::uuid`
      assert.closeTo(row?.ms ?? 0, 3_600_000, 10_000)
    })
  )

  it.effect("are taken in the form of old SDKs where that is allowed", () =>
    Effect.gen(function* () {
      const { agent } = yield* publishing((agent) => listText(agent, ids(1), {}, "wrapped"))
      yield* runOnce
      assert.strictEqual(yield* failureOf(agent), "signature")
      const lenient = mirrorWith({ ...nearby, REVOCATION_MIRROR_ACCEPT_WRAPPED: "true" })
      yield* Effect.provide(again(agent), lenient)
      assert.strictEqual((yield* current(agent)).copy?.form, "wrapped")
      assert.isUndefined(listFault(String(yield* copyText(agent)), "wrapped"))
    })
  )

  it.effect("of many entries are checked in a thread and recorded in parts", () =>
    Effect.gen(function* () {
      const jtis = ids(2500)
      const { agent, says } = yield* publishing((agent) => listText(agent, [...jtis, ...jtis.slice(0, 10)]))
      yield* runOnce
      assert.strictEqual((yield* current(agent)).copy?.entries, 2500)
      assert.deepEqual(yield* revocationsBy(agent), jtis.toSorted())
      says(listText(agent, jtis.slice(1)))
      yield* again(agent)
      assert.match(String((yield* current(agent)).failure?.reason), /leaves out 1 /)
      says(`${listText(agent, jtis).slice(0, -9)}AAAAAAA"}`)
      yield* again(agent)
      assert.strictEqual(yield* failureOf(agent), "signature")
    })
  )

  it.effect("may have 8 MiB and no more, and are kept to the last byte", () =>
    Effect.gen(function* () {
      const { agent, says } = yield* publishing((agent) => listText(agent, ids(1)).padEnd(8_388_608, " "))
      yield* runOnce
      assert.isUndefined(yield* failureOf(agent))
      assert.lengthOf(String(yield* copyText(agent)), 8_388_608)
      says(listText(agent, ids(1)).padEnd(8_388_609, " "))
      yield* again(agent)
      assert.strictEqual((yield* current(agent)).failure?.reason, "the list is larger than 8 MiB")
    })
  )

  it.effect("may bring no more than so many new revocations within a day", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const [first, second] = [ids(2), ids(2)]
      const { agent, says } = yield* publishing((agent) => listText(agent, first))
      yield* runOnce
      yield* sql`update issuer_lists set recorded = 199999 where aid = ${agent.aid}`
      says(listText(agent, [...first, ...second]))
      yield* again(agent)
      assert.strictEqual(yield* failureOf(agent), "excess")
      assert.deepEqual(yield* revocationsBy(agent), first.toSorted())
      yield* sql`
        update issuer_lists set recorded_since = clock_timestamp() - interval '1 day' where aid = ${agent.aid}`
      yield* again(agent)
      assert.isUndefined(yield* failureOf(agent))
      assert.deepEqual(yield* revocationsBy(agent), [...first, ...second].toSorted())
      const [row] = yield* sql<{ readonly recorded: number }>`
        select recorded from issuer_lists where aid = ${agent.aid}`
      assert.strictEqual(row?.recorded, 2)
    })
  )

  it.effect("are fetched of no more agents than may be, the oldest first", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { schedule } = yield* IssuerLists
      const agents = [
        (yield* publishing((agent) => listText(agent, []))).agent,
        (yield* publishing((agent) => listText(agent, []))).agent
      ]
      yield* runOnce
      const aids = agents.map(({ aid }) => aid)
      const [{ polled } = { polled: 0 }] = yield* sql<{ readonly polled: number }>`
        select count(*)::int as polled from issuer_lists where due_at is not null`
      yield* sql`update issuer_lists set due_at = null where aid = any(${aids}::text[])`
      yield* schedule(polled - 1)
      const dueAts = Effect.forEach(agents, (agent) =>
        Effect.map(current(agent), ({ dueAt }) => dueAt !== null)
      )
      assert.deepEqual(yield* dueAts, [true, false])
      yield* schedule(polled)
      assert.deepEqual(yield* dueAts, [true, true])
    })
  )

  it.effect("are seen by who may see the agent", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { findByAid, list } = yield* IssuerLists
      const { agent } = yield* publishing((agent) => listText(agent, []))
      yield* runOnce
      const [own, other] = [randomUUID(), randomUUID()]
      yield* sql`update agents set org_id = ${own}::uuid where aid = ${agent.aid}`
      const seenBy = (orgId: string) =>
        Effect.gen(function* () {
          const visibility = { _tag: "orgs", orgIds: [orgId] } as const
          const page = yield* list({ limit: 100, offset: 0, after: undefined }, visibility)
          const found = yield* findByAid(agent.aid, visibility)
          return [page.length, Option.isSome(found)]
        })
      assert.deepEqual(yield* seenBy(own), [1, true])
      assert.deepEqual(yield* seenBy(other), [0, false])
      yield* sql`update agents set integrity_ok = false where aid = ${agent.aid}`
      assert.deepEqual(yield* seenBy(own), [0, false])
    })
  )

  it.effect(
    "are asked for by tag when they came from the same place and may be served, and confirmed by 304",
    () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        const agent = makeAgent()
        const text = listText(agent, ids(1))
        const tagged: Answer = (request, response) =>
          (request.headers["if-none-match"] === '"v1"'
            ? saying(304, "")
            : saying(200, text, { etag: '"v1"' }))(request, response)
        issuer.answer("/a", tagged)
        issuer.answer("/b", tagged)
        yield* registered(`${issuer.url}/a`, agent)
        yield* runOnce
        const before = yield* current(agent)
        yield* again(agent)
        const after = yield* current(agent)
        assert.isAbove(after.copy?.checkedAt.getTime() ?? 0, before.copy?.checkedAt.getTime() ?? Infinity)
        assert.isNull(after.failure)
        // Another place is asked at once, and without the tag.
        yield* registered(`${issuer.url}/b`, agent)
        assert.strictEqual(yield* runOnce, 1)
        const { sql } = yield* Db
        yield* sql`update issuer_lists set expires_at = extract(epoch from clock_timestamp()) - 1 where aid = ${agent.aid}`
        yield* again(agent)
        assert.deepEqual(
          issuer.requests.map(({ headers, path }) => [path, headers["if-none-match"]]),
          [
            ["/a", undefined],
            ["/a", '"v1"'],
            ["/b", undefined],
            ["/b", undefined]
          ]
        )
      })
  )

  it.effect(
    "are not asked for at addresses that are not public unless these are allowed, nor over http",
    () =>
      Effect.gen(function* () {
        const issuer = yield* startIssuer
        const { port } = new URL(issuer.url)
        // What is allowed to webhooks is not allowed here.
        const refused = mirrorWith({
          REVOCATION_MIRROR_TIMEOUT_MS: "1000",
          WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8"
        })
        for (const uri of [
          `${issuer.url}${LIST}`,
          `http://issuer.test:${port}${LIST}`,
          `https://issuer.test:${port}${LIST}`,
          "https://169.254.169.254/list",
          "http://203.0.113.7/list"
        ]) {
          const agent = yield* registered(uri)
          issuer.answer(LIST, saying(200, listText(agent, [])))
          yield* Effect.provide(runOnce, refused)
          const { copy, failure } = yield* current(agent)
          assert.strictEqual(failure?.kind, "refused", `${uri} ${failure?.reason}`)
          assert.isNull(copy)
        }
        assert.deepEqual(pathsOf(issuer), [])
        const agent = yield* registered(`http://issuer.test:${port}${LIST}`)
        issuer.answer(LIST, saying(200, listText(agent, [])))
        yield* runOnce
        assert.isUndefined(yield* failureOf(agent))
      })
  )

  it.effect("are looked for only where a manifest names a place that can be one", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      for (const uri of [null, 7, "", {}, ["https://a.example"], `https://a.example/${"x".repeat(2048)}`]) {
        const agent = yield* registered(uri)
        yield* runOnce
        const [row] = yield* sql<{ readonly uri: string | null }>`
          select uri from issuer_lists where aid = ${agent.aid}`
        assert.strictEqual(row?.uri, uri === "" ? "" : null, String(uri))
      }
      const odd = yield* registered("no url at all")
      yield* runOnce
      assert.strictEqual(yield* failureOf(odd), "refused")
    })
  )

  it.effect("are not asked for while the agent is not in service, and forgotten when it is", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { agent, issuer } = yield* publishing((agent) => listText(agent, ids(1)))
      yield* runOnce
      for (const change of [
        sql`update agents set status = 'deregistered' where aid = ${agent.aid}`,
        sql`update agents set status = 'active', integrity_ok = false where aid = ${agent.aid}`
      ]) {
        yield* change
        yield* again(agent)
        assert.lengthOf(issuer.requests, 1)
      }
      yield* sql`update agents set integrity_ok = true where aid = ${agent.aid}`
      yield* runOnce
      assert.lengthOf(issuer.requests, 2)
      yield* sql`delete from agents where aid = ${agent.aid}`
      yield* runOnce
      assert.isUndefined(yield* copyText(agent))
    })
  )

  it.effect("are asked for again as their own words say, and less and less often while they fail", () =>
    Effect.gen(function* () {
      const { agent, issuer, says } = yield* publishing((agent) => listText(agent, []))
      const due = Effect.andThen(again(agent), dueInMs(agent))
      const between = (ms: number, low: number, high: number) =>
        assert.isTrue(ms > low - 2000 && ms <= high, `${ms} of ${low}…${high}`)
      between(yield* Effect.andThen(runOnce, dueInMs(agent)), 54_000, 60_000)
      issuer.answer(LIST, saying(200, listText(agent, []), { "cache-control": "public, max-age=30" }))
      between(yield* due, 27_000, 30_000)
      says(listText(agent, [], { expires_at: nowSecs() + 40 }))
      between(yield* due, 18_000, 20_000)
      issuer.answer(LIST, saying(500, ""))
      between(yield* due, 54_000, 60_000)
      between(yield* due, 108_000, 120_000)
      between(yield* due, 216_000, 240_000)
      says(listText(agent, []))
      between(yield* due, 54_000, 60_000)
    })
  )

  it.effect("are fetched by one of two replicas, which another follows when it dies", () =>
    Effect.gen(function* () {
      const { agent, issuer } = yield* publishing((agent) => listText(agent, ids(1)))
      const lists = yield* IssuerLists
      const mirroring = Effect.flatMap(ListMirror, ({ run }) => leading(run))
      const first = yield* Effect.forkChild(Effect.provide(mirroring, mirrorWith(nearby)))
      const second = yield* Effect.forkChild(Effect.provide(mirroring, mirrorWith(nearby)))
      yield* eventually(copyText(agent), (text) => text !== undefined)
      yield* makeDue(agent)
      yield* asked(issuer, 2)
      yield* Fiber.interrupt(first)
      yield* makeDue(agent)
      yield* asked(issuer, 3)
      yield* Fiber.interrupt(second)
      assert.lengthOf(issuer.requests, 3)

      // One that stops while it fetches leaves the list to the next one at once.
      issuer.answer(LIST, silent)
      yield* makeDue(agent)
      const stopping = yield* Effect.forkChild(runOnce)
      yield* asked(issuer, 4)
      yield* Fiber.interrupt(stopping)
      assert.isAtMost(yield* dueInMs(agent), 0)

      // One that sleeps beyond its lease writes nothing any more.
      yield* leading((held) =>
        Effect.gen(function* () {
          yield* makeDue(agent)
          const stale = { ...held, term: held.term - 1 }
          assert.isTrue(Option.isNone(yield* lists.takeDue(stale, [], 1000)))
          const failed = { _tag: "Failed", kind: "status", reason: "late" } as const
          assert.isFalse(yield* lists.settle(stale, agent.aid, failed, 1000))
          assert.isUndefined(yield* failureOf(agent))
          assert.isTrue(Option.isSome(yield* lists.takeDue(held, [], 1000)))
        })
      )
    })
  )

  it.effect("of one host are fetched one at a time, while another host hangs", () =>
    Effect.gen(function* () {
      const [slow, prompt] = [yield* startIssuer, yield* startIssuer]
      let open = 0
      let most = 0
      for (const path of ["/a", "/b", "/c"]) {
        slow.answer(path, (request, response) => {
          open += 1
          most = Math.max(most, open)
          response.on("close", () => void (open -= 1))
          silent(request, response)
        })
        yield* registered(`${slow.url}${path}`)
      }
      const agent = makeAgent()
      prompt.answer(LIST, saying(200, listText(agent, [])))
      const mirroring = Effect.flatMap(ListMirror, ({ run }) => leading(run))
      const running = yield* Effect.forkChild(
        Effect.provide(
          mirroring,
          mirrorWith({
            ...nearby,
            REVOCATION_MIRROR_TIMEOUT_MS: "500",
            REVOCATION_MIRROR_INTERVAL_MS: "1000"
          })
        )
      )
      yield* asked(slow, 1)
      yield* registered(`${prompt.url}${LIST}`, agent)
      yield* eventually(copyText(agent), (text) => text !== undefined)
      yield* asked(slow, 3)
      yield* Fiber.interrupt(running)
      assert.strictEqual(most, 1)
    })
  )

  it.effect("that were revoked in the future are revoked now", () =>
    Effect.gen(function* () {
      const [jti] = ids(1)
      assert(jti !== undefined)
      const { agent } = yield* publishing((agent) =>
        listText(agent, [], {
          entries: [
            { jti, revoked_at: 9_007_199_254_740_991, reason: `\0${"x".repeat(600)}` },
            ...entriesOf(ids(1))
          ]
        })
      )
      yield* runOnce
      assert.isUndefined(yield* failureOf(agent))
      const { sql } = yield* Db
      const [row] = yield* sql<{ readonly revokedAt: Date; readonly reason: string }>`
        select revoked_at, reason from issuer_revocations where jti = ${jti}::uuid`
      assert.closeTo(row?.revokedAt.getTime() ?? 0, Date.now(), 5000)
      assert.strictEqual(row?.reason, `\uFFFD${"x".repeat(499)}`)
    })
  )
})
