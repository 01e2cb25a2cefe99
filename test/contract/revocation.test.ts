import { createHash, randomUUID } from "node:crypto"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { formatAid } from "../../src/aitp/aid.ts"
import { makeAgent } from "../support/aitp/agent.ts"
import { mintTct } from "../support/aitp/mint-tokens.ts"
import { eventually } from "../support/db/eventually.ts"
import { unique } from "../support/service/agents.ts"
import { type Answer, outcome, outcomeOf, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { type EventPage, ingest } from "../support/service/events.ts"
import { parseExposition } from "../support/service/exposition.ts"
import {
  ENTRIES,
  fetchList,
  LIST,
  LIST_ALIAS,
  postEntry,
  revoke,
  type Revoked
} from "../support/service/revocations.ts"
import { anyService, OTHER_KEY } from "../support/service/Service.ts"
import { listFault } from "../support/service/verify-list.ts"

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

const digestOf = (bytes: Buffer) => `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`

interface Entry {
  readonly jti: string
  readonly revokedAt: string
  readonly reason: string | null
  readonly issuer: string | null
  readonly createdAt: string
}

interface EntryPage {
  readonly entries: ReadonlyArray<Entry>
  readonly count: number
  readonly nextCursor: string | null
}

interface Impact {
  readonly jti: string
  readonly tcts: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly delegations: ReadonlyArray<{
    readonly jti: string
    readonly depth: number
    readonly revoked: boolean
  }>
  readonly counts: { readonly tcts: number; readonly delegations: number }
}

const listEntries = (query: Readonly<Record<string, string>> = {}) =>
  read<EntryPage>(`${ENTRIES}?${new URLSearchParams(query).toString()}`)

const revokedEvents = (jti: string) =>
  Effect.map(read<EventPage>("/api/events/history?type=tct.revoked&source=cp&limit=1000"), ({ events }) =>
    events.filter(({ payload }) => (payload as { readonly jti?: string }).jti === jti)
  )

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("revoking", (it) => {
  it.effect("answers what was stored, in the promised members, once the list names it", () =>
    Effect.gen(function* () {
      const jti = randomUUID()
      const answer = yield* postEntry({ jti: jti.toUpperCase(), reason: 'leaked "key" é', more: 1 })
      assert.strictEqual(answer.status, 201, answer.text)
      assert.strictEqual(answer.headers["content-type"], "application/json")
      const { listVersion, revokedAt, ...rest } = answer.json<Revoked>()
      assert.deepEqual(rest, {
        jti,
        reason: 'leaked "key" é',
        issuer: null,
        alreadyRevoked: false,
        cascade: { tcts: [], delegations: [], counts: { tcts: 0, delegations: 0 } }
      })
      assert.match(revokedAt, INSTANT)
      assert.isAbove(listVersion ?? 0, 0)
      const { entries } = yield* fetchList
      assert.deepEqual(
        entries.filter((entry) => entry.jti === jti),
        [{ jti, reason: 'leaked "key" é', revoked_at: Math.floor(Date.parse(revokedAt) / 1000) }]
      )
      const [event, ...others] = yield* revokedEvents(jti)
      assert.deepEqual(others, [])
      assert.deepInclude(event, {
        ts: revokedAt,
        payload: { jti, reason: 'leaked "key" é' },
        aidA: null,
        aidB: null
      })
      assert.deepInclude(yield* read<Entry>(`${ENTRIES}/${jti.toUpperCase()}`), { jti, revokedAt })
    })
  )

  it.effect("repeats give the first entry's values and change and announce nothing", () =>
    Effect.gen(function* () {
      const first = yield* revoke({ reason: "first", revokedAt: "2026-01-02T03:04:05.678Z" })
      assert.strictEqual(first.revokedAt, "2026-01-02T03:04:05.678Z")
      const issuer = makeAgent().aid
      const again = yield* revoke({ jti: first.jti, reason: "second", revokedAt: "2020-01-01", issuer })
      assert.deepEqual(again, { ...first, alreadyRevoked: true })
      assert.strictEqual((yield* revokedEvents(first.jti)).length, 1)
      const list = yield* fetchList
      assert.strictEqual(list.entries.filter(({ jti }) => jti === first.jti).length, 1)
    })
  )

  it.effect("needs a key, a UUID and members of the right type", () =>
    Effect.gen(function* () {
      const jti = randomUUID()
      assertRefused(yield* send(ENTRIES, { body: { jti } }), 401, "INVALID_API_KEY")
      for (const body of ["", "null", "[]", "7", "{", `{"jti":"${jti}","reason":"\\u0000"}`, "\u{feff}{}"]) {
        assertRefused(yield* postEntry(body), 400, "BODY_INVALID")
      }
      for (const bad of [
        undefined,
        null,
        7,
        "",
        "x",
        `${jti} `,
        jti.replaceAll("-", ""),
        "00000000-0000-0000-0000-000000000000"
      ]) {
        assertRefused(yield* postEntry({ jti: bad }), 400, "JTI_INVALID")
      }
      for (const wrong of [
        { reason: "x".repeat(501) },
        { reason: 7 },
        { revokedAt: "yesterday" },
        { revokedAt: "1969-12-31" },
        { issuer: "agent-7" },
        { issuer: 7 }
      ]) {
        assertRefused(yield* postEntry({ jti, ...wrong }), 400, "BODY_INVALID")
      }
      assertRefused(
        yield* postEntry(`{"jti":"${jti}","reason":"${"x".repeat(70_000)}"}`),
        413,
        "PAYLOAD_TOO_LARGE"
      )
      assert.strictEqual(yield* outcome(`${ENTRIES}/${jti}`, { key: true }), "404 NOT_FOUND")
      assert.deepInclude(yield* revoke({ jti, reason: "𝄞".repeat(500), revokedAt: 5, issuer: null }), {
        reason: "𝄞".repeat(500),
        alreadyRevoked: false
      })
    })
  )

  it.effect("clamps a time to come to now", () =>
    Effect.gen(function* () {
      const before = Date.now()
      const { jti, revokedAt } = yield* revoke({ revokedAt: "9999-12-31T23:59:59.999Z" })
      assert.isAtLeast(Date.parse(revokedAt), before - 2000)
      assert.isAtMost(Date.parse(revokedAt), Date.now() + 2000)
      const entry = (yield* fetchList).entries.find((each) => each.jti === jti)
      assert.strictEqual(entry?.revoked_at, Math.floor(Date.parse(revokedAt) / 1000))
    })
  )

  it.effect("with an idempotency key is executed once and answered with the same bytes again", () =>
    Effect.gen(function* () {
      const key = { "idempotency-key": unique("k") }
      const body = JSON.stringify({ jti: randomUUID(), reason: "once" })
      const answers = yield* Effect.forEach(Array.from({ length: 64 }), () => postEntry(body, key), {
        concurrency: "unbounded"
      })
      const outcomes = new Set(answers.map(outcomeOf))
      assert.includeMembers(["201 ok", "409 IDEMPOTENCY_IN_PROGRESS"], [...outcomes])
      const first = answers.find(({ status }) => status === 201)
      assert.isDefined(first)
      for (let n = 0; n < 2; n += 1) {
        const again = yield* eventually(postEntry(body, key), ({ status }) => status !== 409)
        assert.strictEqual(again.status, 201)
        assert.strictEqual(again.headers["idempotency-replayed"], "true")
        assert.strictEqual(again.text, first?.text)
      }
      const { alreadyRevoked, jti } = first?.json<Revoked>() ?? {}
      assert.strictEqual(alreadyRevoked, false)
      assert.strictEqual((yield* revokedEvents(jti ?? "")).length, 1)
      assertRefused(yield* postEntry({ jti: randomUUID() }, key), 422, "IDEMPOTENCY_KEY_REUSED")

      // a repeat under another key is stored like any answer, and so is a refusal
      const other = { "idempotency-key": unique("k") }
      const repeated = yield* postEntry(body, other)
      assert.isTrue(repeated.json<Revoked>().alreadyRevoked)
      assert.strictEqual((yield* postEntry(body, other)).text, repeated.text)
      const refusedKey = { "idempotency-key": unique("k") }
      assertRefused(yield* postEntry({ jti: "x" }, refusedKey), 400, "JTI_INVALID")
      assert.strictEqual((yield* postEntry({ jti: "x" }, refusedKey)).headers["idempotency-replayed"], "true")
      // another credential's key is another one
      const foreign = yield* send(ENTRIES, {
        body,
        headers: { ...other, authorization: `Bearer ${OTHER_KEY}` }
      })
      assert.isUndefined(foreign.headers["idempotency-replayed"])
    })
  )

  it.effect("of one id by many at once has one winner", () =>
    Effect.gen(function* () {
      const jti = randomUUID()
      const answers = yield* Effect.forEach(
        Array.from({ length: 32 }, (_, n) => n),
        (n) => revoke({ jti, reason: `from ${n}` }),
        { concurrency: "unbounded" }
      )
      const winners = answers.filter(({ alreadyRevoked }) => !alreadyRevoked)
      assert.strictEqual(winners.length, 1)
      for (const answer of answers) assert.strictEqual(answer.reason, winners[0]?.reason)
      assert.strictEqual((yield* revokedEvents(jti)).length, 1)
    })
  )

  it.effect("revokes what was observed, shows it beforehand, and applies to what is reported later", () =>
    Effect.gen(function* () {
      const [issuer, subject] = [makeAgent(), makeAgent()]
      const { claims, token } = mintTct(issuer, subject)
      const jti = claims.jti
      const [child, grandchild, late] = [randomUUID(), randomUUID(), randomUUID()]
      let ts = Date.now() - 1000
      const issued = (child: string, parent: string) => ({
        type: "delegation.issued",
        ts: (ts += 1),
        payload: { jti: child, parent_jti: parent, delegator: subject.aid, delegatee: "x", scope: ["a"] }
      })
      yield* ingest([
        { type: "tct.issued", payload: { tct: { token } } },
        issued(child, jti),
        issued(grandchild, child)
      ])

      const impact = yield* read<Impact>(`/api/revocation/impact/${jti.toUpperCase()}`)
      assert.deepEqual(impact.counts, { tcts: 1, delegations: 2 })
      assert.strictEqual(impact.jti, jti)
      assert.deepInclude(impact.tcts[0], { jti, issuer: issuer.aid, revoked: false, signatureVerified: true })
      assert.deepEqual(
        impact.delegations.map(({ depth, jti, revoked }) => [jti, depth, revoked]),
        [
          [child, 1, false],
          [grandchild, 2, false]
        ]
      )
      const ofChild = yield* read<Impact>(`/api/revocation/impact/${child}`)
      assert.deepEqual(
        ofChild.delegations.map(({ depth, jti }) => [jti, depth]),
        [
          [child, 0],
          [grandchild, 1]
        ]
      )
      const unknown = randomUUID()
      assert.deepEqual(yield* read<Impact>(`/api/revocation/impact/${unknown}`), {
        jti: unknown,
        tcts: [],
        delegations: [],
        counts: { tcts: 0, delegations: 0 }
      })
      assert.strictEqual(yield* outcome("/api/revocation/impact/x", { key: true }), "404 NOT_FOUND")
      assert.strictEqual(yield* outcome(`${ENTRIES}/${jti}`, { key: true }), "404 NOT_FOUND", "a dry run")

      const revoked = yield* revoke({ jti, reason: "gone" })
      assert.deepInclude(revoked, { issuer: issuer.aid })
      assert.deepEqual(revoked.cascade, {
        tcts: [jti],
        delegations: [child, grandchild].toSorted(),
        counts: { tcts: 1, delegations: 2 }
      })
      const [event] = yield* revokedEvents(jti)
      assert.deepEqual(event?.payload, { jti, reason: "gone", issuer: issuer.aid })
      const told = yield* eventually(
        Effect.map(
          read<EventPage>("/api/events/history?type=delegation.revoked&source=cp&limit=1000"),
          ({ events }) => events.filter(({ payload }) => (payload as { readonly root?: string }).root === jti)
        ),
        (events) => events.length === 2
      )
      assert.sameDeepMembers(
        told.map(({ payload }) => payload),
        [child, grandchild].map((jti_) => ({ jti: jti_, reason: "parent_revoked", root: jti }))
      )

      const before = randomUUID()
      yield* revoke({ jti: before })
      yield* ingest([
        { type: "tct.issued", payload: { tct: { jti: before, iss: issuer.aid, sub: "x" } } },
        issued(late, before)
      ])
      for (const id of [jti, before]) {
        const { tcts } = yield* read<{ readonly tcts: ReadonlyArray<Record<string, unknown>> }>(
          `/api/tcts/${id}`
        )
        assert.deepInclude(tcts[0], { revoked: true, revokedBy: ["operator"] })
      }
      const { delegations } = yield* read<{ readonly delegations: ReadonlyArray<Record<string, unknown>> }>(
        `/api/delegations?root_jti=${before}`
      )
      assert.deepInclude(delegations[0], { jti: late, revoked: true, revokedReason: "parent_revoked" })
      // what is merely reported as revoked never enters the list
      const reported = randomUUID()
      yield* ingest([{ type: "tct.revoked", payload: { jti: reported } }])
      yield* revoke()
      assert.isUndefined((yield* fetchList).entries.find(({ jti }) => jti === reported))
    })
  )

  it.effect("lists entries newest first, by cursor and by filters", () =>
    Effect.gen(function* () {
      const agent = makeAgent({ seed: createHash("sha256").update(randomUUID()).digest() })
      const made: Array<string> = []
      for (let n = 0; n < 5; n += 1)
        made.unshift((yield* revoke({ issuer: agent.aid, revokedAt: `200${n}-01-01` })).jti)
      const mine = yield* listEntries({ issuer: agent.aid })
      assert.deepEqual(
        mine.entries.map(({ jti }) => jti),
        made
      )
      assert.deepInclude(mine, { count: 5, nextCursor: null })
      const [entry] = mine.entries
      assert.deepEqual(Object.keys(entry ?? {}).toSorted(), [
        "createdAt",
        "issuer",
        "jti",
        "reason",
        "revokedAt"
      ])
      assert.match(entry?.createdAt ?? "", INSTANT)
      assert.deepEqual((yield* listEntries({ issuer: formatAid("ed25519", agent.raw, "ed25519") })).count, 5)
      assert.strictEqual((yield* listEntries({ issuer: "nobody" })).count, 0)
      const third = mine.entries[2]?.createdAt ?? ""
      assert.deepEqual(
        (yield* listEntries({ issuer: agent.aid, since: third })).entries.map(({ jti }) => jti),
        made.slice(0, 3)
      )

      const seen: Array<string> = []
      let path: string | undefined = `${ENTRIES}?issuer=${agent.aid}&limit=2`
      while (path !== undefined) {
        const answer: Answer = yield* send(path, { key: true })
        seen.push(...answer.json<EntryPage>().entries.map(({ jti }) => jti))
        const [, next]: ReadonlyArray<string> =
          /^<([^>]+)>; rel="next"$/.exec(String(answer.headers["link"])) ?? []
        path = next
      }
      assert.deepEqual(seen, made)
      const { nextCursor } = yield* listEntries({ issuer: agent.aid, limit: "2" })
      assert.strictEqual(
        yield* outcome(`${ENTRIES}?cursor=${nextCursor}`, { key: true }),
        "400 CURSOR_INVALID"
      )
      assert.strictEqual((yield* listEntries({ issuer: agent.aid, offset: "4" })).count, 1)
      for (const [query, expected] of [
        ["since=yesterday", "400 BAD_REQUEST"],
        ["offset=100001", "400 BAD_REQUEST"],
        ["cursor=x", "400 CURSOR_INVALID"],
        ["issuer=%00", "400 BAD_REQUEST"]
      ]) {
        assert.strictEqual(yield* outcome(`${ENTRIES}?${query}`, { key: true }), expected)
      }
      for (const id of ["x", "%00", randomUUID()]) {
        assert.include(
          ["404 NOT_FOUND", "400 BAD_REQUEST"],
          yield* outcome(`${ENTRIES}/${id}`, { key: true })
        )
      }
      for (const path of [ENTRIES, `${ENTRIES}/${made[0]}`, `/api/revocation/impact/${made[0]}`]) {
        assert.strictEqual(yield* outcome(path), "401 INVALID_API_KEY")
      }
    })
  )
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("the signed list", (it) => {
  it.effect("is public, the same bytes under both paths, with digest and a strong tag", () =>
    Effect.gen(function* () {
      yield* revoke({ reason: "x".repeat(400) })
      yield* revoke({ reason: "y".repeat(400) })
      const answer = yield* send(LIST)
      assert.strictEqual(answer.status, 200)
      assert.isUndefined(listFault(answer.text))
      assert.strictEqual(answer.headers["content-type"], "application/json")
      assert.strictEqual(answer.headers["cache-control"], "max-age=60")
      assert.strictEqual(answer.headers["access-control-allow-origin"], "*")
      assert.match(String(answer.headers["etag"]), /^"[A-Za-z0-9_-]+"$/)
      assert.strictEqual(answer.headers["content-digest"], digestOf(answer.bytes))
      assert.include(answer.headers["vary"], "Accept-Encoding")
      const alias = yield* send(LIST_ALIAS, { headers: { authorization: "Bearer wrong" } })
      assert.isTrue(alias.bytes.equals(answer.bytes))
      assert.strictEqual(alias.headers["etag"], answer.headers["etag"])
      const head = yield* send(LIST, { method: "HEAD" })
      assert.deepInclude(head, { status: 200, text: "" })
      assert.strictEqual(head.headers["etag"], answer.headers["etag"])
      assert.strictEqual(head.headers["content-length"], String(answer.bytes.length))
      for (const method of ["POST", "DELETE"]) {
        assert.strictEqual(yield* outcome(LIST, { method, body: {} }), "405 METHOD_NOT_ALLOWED")
      }
      const { revocation_list: list } = answer.json<{
        readonly revocation_list: {
          readonly published_at: number
          readonly expires_at: number
          readonly issuer: string
        }
      }>()
      assert.strictEqual(list.expires_at - list.published_at, 3600)
      assert.isAtMost(Math.abs(Date.now() / 1000 - list.published_at), 62)
      const manifest = yield* send("/.well-known/aitp-manifest")
      assert.strictEqual(
        manifest.json<{ readonly manifest: { readonly aid: string } }>().manifest.aid,
        list.issuer
      )
    })
  )

  it.effect("comes compressed beforehand, each coding with a tag and a digest of its own", () =>
    Effect.gen(function* () {
      yield* revoke({ reason: "z".repeat(500) })
      yield* revoke({ reason: "z".repeat(500) })
      const plain = yield* send(LIST)
      for (const [coding, decode] of [
        ["gzip", gunzipSync],
        ["br", brotliDecompressSync]
      ] as const) {
        const coded = yield* send(LIST, { headers: { "accept-encoding": coding } })
        assert.strictEqual(coded.headers["content-encoding"], coding)
        assert.isBelow(coded.bytes.length, plain.bytes.length)
        assert.isTrue(decode(coded.bytes).equals(plain.bytes))
        assert.strictEqual(coded.headers["content-digest"], digestOf(coded.bytes))
        assert.strictEqual(coded.headers["etag"], String(plain.headers["etag"]).replace(/"$/, `-${coding}"`))
        assert.strictEqual(coded.headers["vary"], "Accept-Encoding")
        const kept = yield* send(LIST, {
          headers: { "accept-encoding": coding, "if-none-match": String(coded.headers["etag"]) }
        })
        assert.deepInclude(kept, { status: 304, text: "" })
        assert.strictEqual(kept.headers["etag"], coded.headers["etag"])
      }
      const etag = String(plain.headers["etag"])
      for (const [given, status] of [
        [etag, 304],
        [`W/${etag}`, 304],
        [`"other", ${etag}`, 304],
        ["*", 304],
        ['"other"', 200]
      ] as const) {
        assert.strictEqual((yield* send(LIST, { headers: { "if-none-match": given } })).status, status, given)
      }
      yield* revoke()
      assert.strictEqual((yield* send(LIST, { headers: { "if-none-match": etag } })).status, 200)
      const refused = yield* send(LIST, { headers: { "accept-encoding": "gzip;q=0, br;q=0" } })
      assert.isUndefined(refused.headers["content-encoding"])
    })
  )

  it.effect("names a revocation in the very next answer, with a later time every time", () =>
    Effect.gen(function* () {
      let last = 0
      for (let n = 0; n < 4; n += 1) {
        const { jti, listVersion } = yield* revoke()
        const list = yield* fetchList
        assert.isDefined(list.entries.find((entry) => entry.jti === jti))
        assert.isAbove(list.published_at, last)
        assert.isAbove(listVersion ?? 0, 0)
        last = list.published_at
      }
    })
  )

  it.effect("is told of in the metrics and, when its entries change, in the ledger by name only", () =>
    Effect.gen(function* () {
      const { listVersion } = yield* revoke()
      const list = yield* send(LIST)
      const published = yield* eventually(
        Effect.map(
          read<EventPage>("/api/events/history?type=revocation.list_published&limit=5"),
          ({ events }) =>
            events.find(({ payload }) => (payload as { readonly version: number }).version === listVersion)
        ),
        (event) => event !== undefined
      )
      assert.deepInclude(published, { source: "cp", reportedBy: "system" })
      const { entries, sha256 } = (published?.payload ?? {}) as {
        readonly entries?: number
        readonly sha256?: string
      }
      assert.strictEqual(sha256, createHash("sha256").update(list.bytes).digest("hex"))
      assert.strictEqual(
        entries,
        list.json<{ revocation_list: { entries: ReadonlyArray<unknown> } }>().revocation_list.entries.length
      )
      const page = parseExposition((yield* send("/api/metrics")).text)
      const value = (name: string) =>
        page.samples.find((sample) => sample.name === `aitp_control_plane_${name}`)?.value
      assert.strictEqual(value("revocation_list_version"), listVersion)
      assert.strictEqual(value("revocation_list_entries"), entries)
      assert.isAtMost(value("revocation_list_age_seconds") ?? 99, 60)
      assert.strictEqual(value("revocation_list_guard_refusals_total"), 0)
    })
  )
})
