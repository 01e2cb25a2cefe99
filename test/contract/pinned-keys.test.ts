import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { makeAgent } from "../support/aitp/agent.ts"
import { newAgent, unique } from "../support/service/agents.ts"
import { outcome, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { isRemote, ownService } from "../support/service/Service.ts"
import {
  ACTOR,
  auditOf,
  DOCUMENT,
  pin,
  type PinPage,
  pinPath,
  type PinRow,
  PINS,
  quietService
} from "../support/service/trust.ts"
import { ask } from "../support/service/webhooks.ts"
import { documentFault } from "../support/trust/specified.ts"

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const KEY = "A".repeat(43)
const OTHER = `A${"-_".repeat(21)}b`

/** What no body may hold, by member. */
const wrong: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  aid: [null, 1, true, [], {}, "", "a".repeat(513), "😀".repeat(513), "a\0b"],
  pubkey: [
    null,
    1,
    [],
    {},
    "",
    "A".repeat(42),
    "A".repeat(45),
    `${"A".repeat(42)}=`,
    `${"A".repeat(42)}+`,
    `${KEY}\n`
  ],
  namespace: [null, 1, false, [], {}, "n".repeat(129), "😀".repeat(129), "a\0b"],
  label: [1, true, [], {}, "l".repeat(129), "😀".repeat(129), "a\0b"],
  expiresAt: [1, 1_700_000_000_000, true, [], {}, "", "soon", "2026-13-01"]
}

const listed = (namespace: string, query: Readonly<Record<string, string>> = {}) =>
  read<PinPage>(pinPath({ namespace, ...query }))

const found = (namespace: string, aid: string) => read<PinRow>(pinPath({ namespace, aid }))

/** The key inside an AID. */
const keyIn = (aid: string) => aid.slice(aid.lastIndexOf(":") + 1)

const aidsOf = ({ pinnedKeys }: PinPage) => pinnedKeys.map(({ aid }) => aid)

layer(quietService, { timeout: "60 seconds", excludeTestServices: true })("pinned keys", (it) => {
  it.effect("POST answers 201 with the record, and GET shows the same one, alone and in the list", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const aid = unique("agent /?&")
      const requestId = unique("request")
      const body = {
        aid,
        pubkey: KEY,
        namespace,
        label: "Ü",
        expiresAt: "2030-01-02T03:04:05+01:00",
        colour: "red"
      }
      const answer = yield* ask("POST", PINS, body, { "x-request-id": requestId })
      assert.strictEqual(answer.status, 201)
      const made = answer.json<PinRow>()
      const { createdAt, updatedAt, ...rest } = made
      assert.deepEqual(rest, {
        namespace,
        aid,
        pubkey: KEY,
        label: "Ü",
        expiresAt: "2030-01-02T02:04:05.000Z",
        addedBy: isRemote ? made.addedBy : ACTOR,
        keyMatchesAid: null
      })
      assert.match(createdAt, INSTANT)
      assert.strictEqual(updatedAt, createdAt)
      assert.deepEqual(yield* found(namespace, aid), made)
      assert.deepEqual(yield* listed(namespace), { pinnedKeys: [made], count: 1, nextCursor: null })
      assert.deepEqual(yield* auditOf(aid), [
        { action: "pinned-key.upsert", actorId: made.addedBy, details: { namespace, pubkey: KEY }, requestId }
      ])
    })
  )

  it.effect("POST replaces what is pinned, but for who added it and when; absent members become null", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const aid = unique("agent")
      const first = yield* pin({ aid, pubkey: KEY, namespace, label: "l", expiresAt: "2030-01-01" })
      const second = yield* pin({ aid, pubkey: OTHER, namespace })
      const { updatedAt, ...rest } = second
      assert.deepEqual(rest, {
        namespace,
        aid,
        pubkey: OTHER,
        label: null,
        expiresAt: null,
        addedBy: first.addedBy,
        createdAt: first.createdAt,
        keyMatchesAid: null
      })
      assert.isAtLeast(Date.parse(updatedAt), Date.parse(first.updatedAt))
      assert.deepEqual((yield* listed(namespace)).pinnedKeys, [second])
      assert.lengthOf(yield* auditOf(aid), 2)
    })
  )

  it.effect("POST takes what is just allowed, and fills in what is absent or empty", () =>
    Effect.gen(function* () {
      for (const more of [
        { pubkey: `${KEY}A` },
        { pubkey: OTHER },
        { label: "😀".repeat(128) },
        { label: "" },
        { label: null, expiresAt: null },
        { namespace: `${unique("")}${"😀".repeat(100)}` },
        { aid: `${unique("")}${"😀".repeat(480)}` }
      ]) {
        const body = { aid: unique("agent"), pubkey: KEY, namespace: unique("n"), ...more }
        assert.deepInclude(yield* pin(body), body)
      }
      for (const more of [{}, { namespace: "" }]) {
        const { aid, namespace } = yield* pin({ aid: unique("agent"), pubkey: KEY, ...more })
        assert.strictEqual(namespace, "default")
        assert.strictEqual((yield* read<PinRow>(pinPath({ aid }))).aid, aid)
      }
      const past = yield* pin({
        aid: unique("agent"),
        pubkey: KEY,
        expiresAt: "Thu, 01 Jan 1970 00:00:00 GMT"
      })
      assert.strictEqual(past.expiresAt, "1970-01-01T00:00:00.000Z")
      for (const expiresAt of ["-271821-04-20", "+275760-09-13"]) {
        assert.match(
          String((yield* pin({ aid: unique("agent"), pubkey: KEY, expiresAt })).expiresAt),
          INSTANT
        )
      }
    })
  )

  it.effect("POST refuses every other body and stores nothing", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const sound = { aid: unique("agent"), pubkey: KEY, namespace }
      const bodies: Array<unknown> = [{}, { aid: "a" }, { pubkey: KEY }, [], null, "x", 1, "{"]
      for (const [member, values] of Object.entries(wrong)) {
        for (const value of values) bodies.push({ ...sound, [member]: value })
      }
      yield* Effect.forEach(
        bodies,
        (body) =>
          Effect.map(ask("POST", PINS, body), (answer) => {
            assert.strictEqual(answer.status, 400, JSON.stringify(body))
            assertRefused(answer, 400, "BODY_INVALID")
          }),
        { concurrency: 16 }
      )
      assert.strictEqual((yield* listed(namespace)).count, 0)
      const large = { ...sound, label: "x".repeat(70_000) }
      assertRefused(yield* ask("POST", PINS, large), 413, "PAYLOAD_TOO_LARGE")
    })
  )

  it.effect("says whether the key is the one in the AID, in each of its spellings", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const stranger = keyIn(newAgent().aid)
      for (const form of ["untagged", "ed25519", "p256"] as const) {
        const { aid } = form === "p256" ? makeAgent({ alg: "p256" }) : newAgent(form)
        assert.isTrue((yield* pin({ aid, pubkey: keyIn(aid), namespace })).keyMatchesAid, form)
        assert.isFalse((yield* pin({ aid, pubkey: stranger, namespace })).keyMatchesAid, form)
        assert.isFalse((yield* found(namespace, aid)).keyMatchesAid, form)
      }
      for (const aid of ["agent-1", `aid:pubkey:${"A".repeat(42)}`, `aid:pubkey:${KEY}`]) {
        assert.isNull((yield* pin({ aid, pubkey: KEY, namespace })).keyMatchesAid, aid)
      }
    })
  )

  it.effect("POST of the same pin 64 times at once pins it once", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const aid = unique("agent")
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, () => ask("POST", PINS, { aid, pubkey: KEY, namespace })),
        { concurrency: "unbounded" }
      )
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
      assert.lengthOf(new Set(answers.map((answer) => answer.json<PinRow>().createdAt)), 1)
      assert.deepEqual(aidsOf(yield* listed(namespace)), [aid])
      assert.lengthOf(yield* auditOf(aid), 64)
    })
  )

  it.effect("POST with a key runs once, also 64 times at once, and answers the same bytes again", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const aid = unique("agent")
      yield* pin({ aid, pubkey: KEY, namespace, label: "before" })
      const key = { "idempotency-key": unique("key") }
      const body = { aid, pubkey: OTHER, namespace, label: "l", expiresAt: "2030-01-01" }
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, () => ask("POST", PINS, body, key)),
        { concurrency: "unbounded" }
      )
      const fresh = answers.filter(
        ({ headers, status }) => status === 201 && !("idempotency-replayed" in headers)
      )
      assert.lengthOf(fresh, 1)
      for (const answer of answers) {
        if (answer.status === 201) assert.strictEqual(answer.text, fresh[0]?.text)
        else assertRefused(answer, 409, "IDEMPOTENCY_IN_PROGRESS")
      }
      yield* pin({ aid, pubkey: KEY, namespace })
      const replayed = yield* ask("POST", PINS, body, key)
      assert.strictEqual(replayed.headers["idempotency-replayed"], "true")
      assert.strictEqual(replayed.text, fresh[0]?.text)
      assert.strictEqual((yield* found(namespace, aid)).pubkey, KEY)
      const reused = yield* ask("POST", PINS, { ...body, label: "other" }, key)
      assertRefused(reused, 422, "IDEMPOTENCY_KEY_REUSED")
      assert.lengthOf(yield* auditOf(aid), 3)
    })
  )

  it.effect("GET lists newest first, by namespace, page by page; replacing does not move a pin", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const aids = ["a", "b", "c", "d", "e"]
      for (const aid of aids) yield* pin({ aid, pubkey: KEY, namespace })
      yield* pin({ aid: "a", pubkey: OTHER, namespace })
      yield* pin({ aid: "x", pubkey: KEY, namespace: `${namespace}.more` })
      const wanted = aids.toReversed()
      assert.deepEqual(aidsOf(yield* listed(namespace)), wanted)
      assert.deepEqual(aidsOf(yield* listed(namespace, { aid: "" })), wanted)
      assert.includeMembers(aidsOf(yield* read<PinPage>(PINS)), wanted)
      const paged: Array<string> = []
      for (let cursor: string | null = ""; cursor !== null;) {
        const page: PinPage = yield* listed(namespace, { limit: "2", cursor })
        assert.strictEqual(page.count, page.pinnedKeys.length)
        paged.push(...aidsOf(page))
        cursor = page.nextCursor
      }
      assert.deepEqual(paged, wanted)
      assert.deepEqual(aidsOf(yield* listed(namespace, { limit: "2", offset: "3" })), wanted.slice(3))
      const first = yield* send(pinPath({ namespace, limit: "1" }), { key: true })
      const [, next = ""] = /^<([^>]+)>; rel="next"$/.exec(String(first.headers["link"])) ?? []
      assert.deepEqual(aidsOf(yield* read<PinPage>(next)), wanted.slice(1, 2))
      const { nextCursor } = first.json<PinPage>()
      const foreign = yield* ask("GET", `${PINS}?namespace=other&cursor=${nextCursor}`)
      assertRefused(foreign, 400, "CURSOR_INVALID")
      assertRefused(yield* ask("GET", `${PINS}?aid=%00`), 400, "BAD_REQUEST")
    })
  )

  it.effect("GET and DELETE of one pin look in one namespace, and compare the AID verbatim", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const { aid } = newAgent()
      yield* pin({ aid, pubkey: KEY, namespace })
      const other = aid.replace("aid:pubkey:", "aid:pubkey:ed25519:")
      for (const query of [{ aid }, { aid, namespace: "other" }, { aid: other, namespace }]) {
        assertRefused(yield* ask("GET", pinPath(query)), 404, "NOT_FOUND")
        assertRefused(yield* ask("DELETE", pinPath(query)), 404, "NOT_FOUND")
      }
      assert.strictEqual((yield* found(namespace, aid)).aid, aid)
    })
  )

  it.effect("DELETE answers 204 without a body, once, and says what is missing without an aid", () =>
    Effect.gen(function* () {
      const [namespace, other] = [unique("n"), unique("n")]
      const aid = unique("agent")
      yield* pin({ aid, pubkey: KEY, namespace })
      yield* pin({ aid, pubkey: KEY, namespace: other })
      yield* pin({ aid, pubkey: KEY })
      for (const path of [PINS, `${PINS}?aid=`, `${PINS}?namespace=${namespace}`]) {
        const answer = yield* ask("DELETE", path, undefined, { "content-type": "application/json" })
        assertRefused(answer, 400, "BAD_REQUEST")
        assert.include(answer.json<{ readonly error: string }>().error, "aid")
      }
      const gone = yield* ask("DELETE", pinPath({ namespace, aid }))
      assert.deepEqual([gone.status, gone.text], [204, ""])
      assertRefused(yield* ask("DELETE", pinPath({ namespace, aid })), 404, "NOT_FOUND")
      assert.strictEqual((yield* ask("DELETE", pinPath({ aid }))).status, 204)
      assert.deepEqual(aidsOf(yield* listed(other)), [aid])
      const removals = (yield* auditOf(aid)).slice(3)
      assert.deepEqual(
        removals.map(({ action, details }) => [action, details]),
        [namespace, "default"].map((namespace) => ["pinned-key.delete", { namespace }])
      )
    })
  )

  it.effect("answers 401 without a key, and 404 to what is no route", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome(PINS), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(PINS, { body: { aid: "a", pubkey: KEY } }), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(`${PINS}?aid=a`, { method: "DELETE" }), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(DOCUMENT), "401 INVALID_API_KEY")
      assertRefused(yield* ask("GET", `${PINS}/a`), 404, "NOT_FOUND")
      assertRefused(yield* ask("PATCH", PINS, {}), 405, "METHOD_NOT_ALLOWED")
    })
  )

  it.effect("GET of the trust document shows the pins that count, in the specification's shape", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const { aid } = newAgent()
      yield* pin({ aid: "z", pubkey: OTHER, namespace, expiresAt: "2999-01-01" })
      yield* pin({ aid, pubkey: keyIn(aid), namespace })
      yield* pin({ aid: newAgent().aid, pubkey: KEY, namespace })
      yield* pin({ aid: "past", pubkey: KEY, namespace, expiresAt: "2001-01-01" })
      yield* pin({ aid: "elsewhere", pubkey: KEY, namespace: `${namespace}.more` })
      const document = yield* read(`${DOCUMENT}?namespace=${namespace}`)
      assert.deepEqual(document, {
        trust_anchors: [],
        pinned_keys: [
          { subject: aid, public_key: keyIn(aid) },
          { subject: "z", public_key: OTHER }
        ]
      })
      assert.isUndefined(documentFault(document))
      const named = unique("agent")
      yield* pin({ aid: named, pubkey: KEY })
      const { pinned_keys } = yield* read<{ readonly pinned_keys: ReadonlyArray<unknown> }>(DOCUMENT)
      assert.deepInclude(pinned_keys, { subject: named, public_key: KEY })
      assert.notInclude(JSON.stringify(pinned_keys), aid)
    })
  )
})

describe.skipIf(isRemote)("the strict profile", () => {
  layer(ownService({ ENROLLMENT_PROFILE: "strict", JWKS_REFRESH_ENABLED: "false" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    it.effect("refuses a key that is not the one in the AID", () =>
      Effect.gen(function* () {
        const { aid } = newAgent()
        yield* pin({ aid, pubkey: keyIn(aid) })
        assertRefused(yield* ask("POST", PINS, { aid, pubkey: KEY }), 400, "BODY_INVALID")
        assert.isTrue((yield* read<PinRow>(pinPath({ aid }))).keyMatchesAid)
        assert.isNull((yield* pin({ aid: "agent-1", pubkey: KEY })).keyMatchesAid)
      })
    )
  })
})
