import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { outcome, outcomeOf, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { isRemote, ownService } from "../support/service/Service.ts"
import {
  ACTOR,
  anchor,
  type AnchorPage,
  anchorPath,
  type AnchorRow,
  ANCHORS,
  auditOf,
  getAnchor,
  quietService
} from "../support/service/trust.ts"
import { ask } from "../support/service/webhooks.ts"

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const ISSUER = "https://issuer.example"

/** As many characters as bytes, or one more. */
const ofBytes = (bytes: number) => `${ISSUER}/`.padEnd(bytes, "x")

/** What no body may hold, by member. */
const wrong: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  issuerUrl: [
    null,
    1,
    true,
    [ISSUER],
    { href: ISSUER },
    "",
    "issuer.example",
    "ftp://issuer.example",
    "HTTPS://issuer.example",
    " https://issuer.example",
    "https:/issuer.example",
    "https://issuer\0.example",
    ofBytes(2049),
    `${ISSUER}/${"é".repeat(1020)}`
  ],
  jwksUrl: [
    1,
    false,
    [],
    {},
    "keys",
    "https://",
    "https:issuer.example",
    "ftp://issuer.example/keys",
    "javascript:alert(1)",
    "https://user:password@issuer.example/keys",
    "https://a b/keys",
    "https://issuer.example/\0",
    `https://issuer.example/${"k".repeat(2030)}`
  ],
  label: [1, true, [], {}, "l".repeat(129), "😀".repeat(129), "a\0b"]
}

const wrongNamespaces = [null, 1, false, [], {}, "n".repeat(129), "😀".repeat(129), "a\0b"]

const listed = (namespace: string, query: Readonly<Record<string, string>> = {}) =>
  read<AnchorPage>(`${ANCHORS}?${new URLSearchParams({ namespace, ...query }).toString()}`)

const idsOf = ({ trustAnchors }: AnchorPage) => trustAnchors.map(({ id }) => id)

layer(quietService, { timeout: "60 seconds", excludeTestServices: true })("trust anchors", (it) => {
  it.effect("POST answers 201 with the record, and the other routes show the same one", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const requestId = unique("request")
      const jwksUrl = "https://issuer.example/keys"
      const body = { issuerUrl: ISSUER, namespace, jwksUrl, label: "Ü", colour: "red" }
      const answer = yield* ask("POST", ANCHORS, body, { "x-request-id": requestId })
      assert.strictEqual(answer.status, 201)
      const made = answer.json<AnchorRow>()
      const { createdAt, id, updatedAt, ...rest } = made
      assert.deepEqual(rest, {
        namespace,
        issuerUrl: ISSUER,
        jwksUrl,
        label: "Ü",
        jwksCachedAt: null,
        addedBy: isRemote ? made.addedBy : ACTOR,
        jwksStale: false,
        jwksError: null
      })
      assert.match(id, UUID7)
      assert.match(createdAt, INSTANT)
      assert.strictEqual(updatedAt, createdAt)
      assert.deepEqual(yield* getAnchor(id), made)
      assert.deepEqual(yield* getAnchor(id.toUpperCase()), made)
      assert.deepEqual(yield* listed(namespace), { trustAnchors: [made], count: 1, nextCursor: null })
      assert.deepEqual(yield* auditOf(id), [
        {
          action: "trust-anchor.create",
          actorId: made.addedBy,
          details: { namespace, issuerUrl: ISSUER },
          requestId
        }
      ])
    })
  )

  it.effect("POST fills in what is absent or empty", () =>
    Effect.gen(function* () {
      for (const more of [{}, { namespace: "" }, { jwksUrl: "" }, { jwksUrl: null, label: null }]) {
        const made = yield* anchor({ issuerUrl: `${ISSUER}/${unique("i")}`, ...more })
        assert.deepInclude(made, { namespace: "default", jwksUrl: null, label: null }, JSON.stringify(more))
      }
    })
  )

  it.effect("POST takes what is just allowed", () =>
    Effect.gen(function* () {
      for (const more of [
        { issuerUrl: ofBytes(2048) },
        { issuerUrl: "http://issuer.example" },
        { issuerUrl: "https://" },
        { issuerUrl: "https://not a url" },
        { label: "😀".repeat(128) },
        { label: "" },
        { jwksUrl: `https://issuer.example/${"k".repeat(2025)}` },
        { jwksUrl: "http://issuer.example/keys?a=b#c" },
        { namespace: `${unique("")}${"😀".repeat(100)}` }
      ]) {
        const body = { issuerUrl: ISSUER, namespace: unique("n"), ...more }
        assert.deepInclude(yield* anchor(body), body)
      }
      const lone = yield* ask(
        "POST",
        ANCHORS,
        `{"issuerUrl":"${ISSUER}","namespace":"${unique("n")}","label":"\\ud800"}`
      )
      assert.strictEqual(lone.json<AnchorRow>().label, "\ufffd")
    })
  )

  it.effect("POST refuses every other body and stores nothing", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const bodies: Array<unknown> = [{}, { namespace }, [], null, "x", 1, "{"]
      for (const [member, values] of Object.entries(wrong)) {
        for (const value of values) bodies.push({ issuerUrl: ISSUER, namespace, [member]: value })
      }
      for (const value of wrongNamespaces) bodies.push({ issuerUrl: ISSUER, namespace: value })
      yield* Effect.forEach(
        bodies,
        (body) =>
          Effect.map(ask("POST", ANCHORS, body), (answer) => {
            assert.strictEqual(answer.status, 400, JSON.stringify(body))
            assertRefused(answer, 400, "BODY_INVALID")
          }),
        { concurrency: 16 }
      )
      assert.strictEqual((yield* listed(namespace)).count, 0)
      const large = { issuerUrl: ISSUER, namespace, label: "x".repeat(70_000) }
      assertRefused(yield* ask("POST", ANCHORS, large), 413, "PAYLOAD_TOO_LARGE")
    })
  )

  it.effect("POST answers 409 with the one that exists, for the very issuer in the very namespace", () =>
    Effect.gen(function* () {
      const [namespace, other] = [unique("n"), unique("n")]
      const { id } = yield* anchor({ issuerUrl: ISSUER, namespace })
      const again = yield* ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace, label: "again" })
      assertRefused(again, 409, "ALREADY_EXISTS", { existing: { id } })
      for (const issuerUrl of [
        `${ISSUER}/`,
        ISSUER.toUpperCase().replace("HTTPS", "https"),
        `${ISSUER}:443`
      ]) {
        yield* anchor({ issuerUrl, namespace })
      }
      yield* anchor({ issuerUrl: ISSUER, namespace: other })
      assert.lengthOf(yield* auditOf(id), 1)
    })
  )

  it.effect("POST of the same anchor 64 times at once creates it once", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, () => ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace })),
        { concurrency: "unbounded" }
      )
      const [first, ...more] = answers.filter(({ status }) => status === 201)
      assert.lengthOf(more, 0)
      const id = first?.json<AnchorRow>().id
      for (const answer of answers) {
        if (answer !== first) assertRefused(answer, 409, "ALREADY_EXISTS", { existing: { id } })
      }
      assert.deepEqual(idsOf(yield* listed(namespace)), [id])
      assert.lengthOf(yield* auditOf(id ?? ""), 1)
    })
  )

  it.effect("POST with a key runs once, also 64 times at once, and answers the same bytes again", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const key = { "idempotency-key": unique("key") }
      const body = { issuerUrl: ISSUER, namespace, label: "l", jwksUrl: `${ISSUER}/keys` }
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, () => ask("POST", ANCHORS, body, key)),
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
      const replayed = yield* ask("POST", ANCHORS, body, key)
      assert.strictEqual(replayed.headers["idempotency-replayed"], "true")
      assert.strictEqual(replayed.text, fresh[0]?.text)
      assert.strictEqual(replayed.headers["content-type"], "application/json")
      const reused = yield* ask("POST", ANCHORS, { ...body, label: "other" }, key)
      assertRefused(reused, 422, "IDEMPOTENCY_KEY_REUSED")
      assert.strictEqual((yield* listed(namespace)).count, 1)
    })
  )

  it.effect("POST with a key answers a refusal again, too, but a broken body stores none", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const key = { "idempotency-key": unique("key") }
      const { id } = yield* anchor({ issuerUrl: ISSUER, namespace })
      const refused = yield* ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace }, key)
      assertRefused(refused, 409, "ALREADY_EXISTS", { existing: { id } })
      yield* ask("DELETE", anchorPath(id))
      const again = yield* ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace }, key)
      assert.strictEqual(again.text, refused.text)
      assert.strictEqual(again.headers["idempotency-replayed"], "true")
      const other = { "idempotency-key": unique("key") }
      assert.strictEqual(outcomeOf(yield* ask("POST", ANCHORS, "{", other)), "400 BODY_INVALID")
      assert.strictEqual(
        outcomeOf(yield* ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace }, other)),
        "201 ok"
      )
      const empty = yield* ask("POST", ANCHORS, { issuerUrl: ISSUER, namespace }, { "idempotency-key": "" })
      assertRefused(empty, 400, "IDEMPOTENCY_KEY_INVALID")
    })
  )

  it.effect("GET lists newest first, by namespace, page by page", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const made: Array<string> = []
      for (const issuer of ["a", "b", "c", "d", "e"]) {
        made.unshift((yield* anchor({ issuerUrl: `https://${issuer}.example`, namespace })).id)
      }
      yield* anchor({ issuerUrl: "https://a.example", namespace: `${namespace}.more` })
      assert.deepEqual(idsOf(yield* listed(namespace)), made)
      assert.includeMembers(idsOf(yield* read<AnchorPage>(ANCHORS)), made)
      const paged: Array<string> = []
      for (let cursor: string | null = ""; cursor !== null;) {
        const page: AnchorPage = yield* listed(namespace, { limit: "2", cursor })
        assert.strictEqual(page.count, page.trustAnchors.length)
        paged.push(...idsOf(page))
        cursor = page.nextCursor
      }
      assert.deepEqual(paged, made)
      assert.deepEqual(idsOf(yield* listed(namespace, { limit: "2", offset: "3" })), made.slice(3))
      assert.deepEqual(idsOf(yield* listed(namespace, { limit: "0" })), made.slice(0, 1))
      const first = yield* send(`${ANCHORS}?namespace=${namespace}&limit=1`, { key: true })
      const [, next = ""] = /^<([^>]+)>; rel="next"$/.exec(String(first.headers["link"])) ?? []
      assert.deepEqual(idsOf(yield* read<AnchorPage>(next)), made.slice(1, 2))
      const { nextCursor } = first.json<AnchorPage>()
      const foreign = yield* ask("GET", `${ANCHORS}?namespace=other&cursor=${nextCursor}`)
      assertRefused(foreign, 400, "CURSOR_INVALID")
      assertRefused(yield* ask("GET", `${ANCHORS}?namespace=%00`), 400, "BAD_REQUEST")
    })
  )

  it.effect("PATCH changes what is given, and nothing else", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const made = yield* anchor({ issuerUrl: ISSUER, namespace, jwksUrl: `${ISSUER}/a`, label: "a" })
      const known = { ...made }
      const steps: ReadonlyArray<readonly [body: object, changed: Partial<AnchorRow>]> = [
        [{}, {}],
        [{ label: "a" }, {}],
        [{ label: "b" }, { label: "b" }],
        [{ label: null }, { label: null }],
        [{ jwksUrl: `${ISSUER}/b` }, { jwksUrl: `${ISSUER}/b` }],
        [{ jwksUrl: "" }, { jwksUrl: null }],
        [
          { jwksUrl: `${ISSUER}/c`, label: "c" },
          { jwksUrl: `${ISSUER}/c`, label: "c" }
        ],
        [{ jwksUrl: null }, { jwksUrl: null }],
        [{ issuerUrl: `${ISSUER}/other` }, { issuerUrl: `${ISSUER}/other` }],
        [{ issuerUrl: `${ISSUER}/other`, namespace: "elsewhere", id: randomUUID() }, {}]
      ]
      const audited: Array<unknown> = []
      for (const [body, changed] of steps) {
        const answer = yield* ask("PATCH", anchorPath(made.id), body)
        assert.strictEqual(answer.status, 200, answer.text)
        const { updatedAt } = answer.json<AnchorRow>()
        if (Object.keys(changed).length === 0) assert.strictEqual(updatedAt, known.updatedAt)
        Object.assign(known, changed, { updatedAt })
        assert.deepEqual(answer.json<AnchorRow>(), known, JSON.stringify(body))
        assert.deepEqual(yield* getAnchor(made.id), known)
        audited.push(changed)
      }
      const [, ...updates] = yield* auditOf(made.id)
      assert.deepEqual(
        updates.map(({ action, details }) => [action, details]),
        audited.map((details) => ["trust-anchor.update", details])
      )
    })
  )

  it.effect("PATCH refuses as POST does, and changes nothing then", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const made = yield* anchor({ issuerUrl: ISSUER, namespace, label: "l" })
      const other = yield* anchor({ issuerUrl: `${ISSUER}/other`, namespace })
      const bodies: Array<unknown> = [null, [], "x", "{"]
      for (const [member, values] of Object.entries(wrong)) {
        for (const value of values) bodies.push({ label: "changed", [member]: value })
      }
      yield* Effect.forEach(
        bodies,
        (body) =>
          Effect.map(ask("PATCH", anchorPath(made.id), body), (answer) => {
            assert.strictEqual(answer.status, 400, JSON.stringify(body))
            assertRefused(answer, 400, "BODY_INVALID")
          }),
        { concurrency: 16 }
      )
      const taken = yield* ask("PATCH", anchorPath(made.id), {
        issuerUrl: `${ISSUER}/other`,
        label: "changed"
      })
      assertRefused(taken, 409, "ALREADY_EXISTS", { existing: { id: other.id } })
      assert.deepEqual(yield* getAnchor(made.id), made)
      assert.lengthOf(yield* auditOf(made.id), 1)
    })
  )

  it.effect("DELETE answers 204 without a body, once; then the issuer can be added again", () =>
    Effect.gen(function* () {
      const namespace = unique("n")
      const { id } = yield* anchor({ issuerUrl: ISSUER, namespace })
      const gone = yield* ask("DELETE", anchorPath(id), undefined, { "content-type": "application/json" })
      assert.deepEqual([gone.status, gone.text], [204, ""])
      assert.isUndefined(gone.headers["content-type"])
      assertRefused(yield* ask("DELETE", anchorPath(id)), 404, "NOT_FOUND")
      assertRefused(yield* ask("GET", anchorPath(id)), 404, "NOT_FOUND")
      assert.strictEqual((yield* listed(namespace)).count, 0)
      const [, removal, ...more] = yield* auditOf(id)
      assert.deepInclude(removal, {
        action: "trust-anchor.delete",
        details: { namespace, issuerUrl: ISSUER }
      })
      assert.lengthOf(more, 0)
      yield* anchor({ issuerUrl: ISSUER, namespace })
    })
  )

  it.effect("GET of a key set that was not fetched yet answers 503 and names the issuer", () =>
    Effect.gen(function* () {
      // never fetched: nothing is at such a place
      const { id, issuerUrl } = yield* anchor({ issuerUrl: "https://", namespace: unique("n") })
      const answer = yield* ask("GET", anchorPath(id, "/jwks"))
      assertRefused(answer, 503, "JWKS_NOT_CACHED", { issuerUrl })
      assert.strictEqual(answer.headers["retry-after"], "60")
    })
  )

  it.effect("answers 404 for ids that name nothing, and 401 without a key", () =>
    Effect.gen(function* () {
      const routes: ReadonlyArray<readonly [suffix: string, method: string, body?: unknown]> = [
        ["", "GET"],
        ["", "PATCH", { label: "x" }],
        ["", "DELETE"],
        ["/jwks", "GET"]
      ]
      for (const [suffix, method, body] of routes) {
        for (const id of [randomUUID(), "x", "00000000-0000-0000-0000-000000000000"]) {
          assertRefused(yield* ask(method, anchorPath(id, suffix), body), 404, "NOT_FOUND")
        }
        assert.strictEqual(
          yield* outcome(anchorPath(randomUUID(), suffix), {
            method,
            ...(body === undefined ? {} : { body })
          }),
          "401 INVALID_API_KEY"
        )
      }
      assert.strictEqual(yield* outcome(ANCHORS), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(ANCHORS, { body: { issuerUrl: ISSUER } }), "401 INVALID_API_KEY")
      const put = yield* ask("PUT", anchorPath(randomUUID()), {})
      assertRefused(put, 405, "METHOD_NOT_ALLOWED")
    })
  )
})

describe.skipIf(isRemote)("the strict profile", () => {
  layer(ownService({ ENROLLMENT_PROFILE: "strict", JWKS_REFRESH_ENABLED: "false" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    it.effect("refuses http issuers", () =>
      Effect.gen(function* () {
        const http = { issuerUrl: "http://issuer.example" }
        assertRefused(yield* ask("POST", ANCHORS, http), 400, "BODY_INVALID")
        const { id } = yield* anchor({ issuerUrl: ISSUER })
        assertRefused(yield* ask("PATCH", anchorPath(id), http), 400, "BODY_INVALID")
        assert.strictEqual((yield* getAnchor(id)).issuerUrl, ISSUER)
      })
    )
  })
})
