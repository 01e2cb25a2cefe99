import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { type Answer, outcomeOf, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { anyService } from "../support/service/Service.ts"
import {
  ask,
  RECEIVER,
  subscribe,
  type WebhookPage,
  webhookPath,
  type WebhookRow,
  WEBHOOKS
} from "../support/service/webhooks.ts"

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const GENERATED = /^whsec_[A-Za-z0-9+/]{43}=$/

const get = (id: string) => read<WebhookRow>(webhookPath(id))

/** What no body of a subscription may hold, by member. */
const wrong: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  url: [null, 1, true, [RECEIVER], { href: RECEIVER }, `https://203.0.113.10/${"x".repeat(2048)}`],
  events: [null, "agent.*", 1, {}, [1], [null], ["agent.registered", {}], { 0: "agent.registered" }],
  secret: [null, 1, true, ["whsec_c2VjcmV0"], { secret: "x" }, "s".repeat(256), "😀".repeat(256)],
  active: [null, "true", 1, 0, [], {}],
  filter: [
    null,
    "namespace",
    [],
    { namespace: 1 },
    { namespace: null },
    { aid: ["x"] },
    { runId: {} },
    { runId: "" },
    { run_id: "misspelt" }
  ]
}

/** URLs that the guard refuses; the address table is its own suite's. */
const refused: ReadonlyArray<string> = [
  "",
  "receiver",
  "/hook",
  "ftp://203.0.113.10/",
  "file:///etc/passwd",
  "javascript:alert(1)",
  "https://",
  "https://user@203.0.113.10/",
  "https://user:password@203.0.113.10/",
  "https://127.0.0.1/",
  "https://2130706433/",
  "https://0x7f.1/",
  "https://[::1]/",
  "https://[::ffff:10.0.0.1]/",
  "https://10.0.0.1/",
  "https://169.254.169.254/latest/meta-data/",
  "https://localhost/"
]

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("webhook subscriptions", (it) => {
  describe("creation", () => {
    it.effect("answers 201 with exactly the promised members and a secret made here", () =>
      Effect.gen(function* () {
        const created = yield* subscribe()
        const { createdAt, id, secret, updatedAt, ...rest } = created
        assert.deepEqual(Object.keys(created), [
          "id",
          "url",
          "events",
          "secret",
          "active",
          "createdAt",
          "updatedAt",
          "filter",
          "secretHint",
          "disabledAt",
          "disabledReason",
          "breaker"
        ])
        assert.deepEqual(rest, {
          url: RECEIVER,
          events: [],
          active: true,
          filter: {},
          secretHint: secret.slice(-4),
          disabledAt: null,
          disabledReason: null,
          breaker: "closed"
        })
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.match(secret, GENERATED)
        assert.match(createdAt, INSTANT)
        assert.strictEqual(updatedAt, createdAt)
        const { secret: _, ...record } = created
        assert.deepEqual(yield* get(id), record)
      })
    )

    it.effect("keeps what is given as it is: names nobody knows, the filter, the secret, the URL", () =>
      Effect.gen(function* () {
        const given = {
          url: "HTTPS://203.0.113.10:443/Hook?a=%7e#part",
          events: ["agent.*", "no.such.type", "agent.*", ""],
          filter: { namespace: "n", aid: "aid:pubkey:x", runId: "r" },
          active: false,
          secret: "given secret"
        }
        const created = yield* subscribe({ ...given, colour: "red" })
        assert.deepInclude(created, given)
        assert.notProperty(created, "colour")
        assert.strictEqual(created.secretHint, "cret")
      })
    )

    it.effect("takes a secret of up to 255 characters, and makes one when it is empty", () =>
      Effect.gen(function* () {
        for (const secret of ["x", "s".repeat(255), "😀".repeat(255)]) {
          assert.strictEqual((yield* subscribe({ secret })).secret, secret)
        }
        assert.match((yield* subscribe({ secret: "" })).secret, GENERATED)
        assert.notStrictEqual((yield* subscribe()).secret, (yield* subscribe()).secret)
      })
    )

    it.effect("gives no hint of a secret of which four characters are half", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* subscribe({ secret: "1234567" })).secretHint, "")
        assert.strictEqual((yield* subscribe({ secret: "12345678" })).secretHint, "5678")
      })
    )

    it.effect("refuses a body that is no object, and one without a URL", () =>
      Effect.gen(function* () {
        for (const body of ["", "{", "null", "[]", '"x"', "1"]) {
          assertRefused(yield* ask("POST", WEBHOOKS, body), 400, "BODY_INVALID")
        }
        const without = yield* ask("POST", WEBHOOKS, { events: [] })
        assertRefused(without, 400, "BODY_INVALID")
        assert.match(String(without.json()["error"]), /^url/)
      })
    )
  })

  describe("bodies", () => {
    for (const [member, values] of Object.entries(wrong)) {
      it.effect(`refuses another type of ${member}, naming the member and never the value`, () =>
        Effect.gen(function* () {
          const { secret: _, ...before } = yield* subscribe({ events: ["tct.revoked"] })
          for (const value of values) {
            const requests = [
              ["POST", WEBHOOKS, { url: RECEIVER, [member]: value }],
              ["PATCH", webhookPath(before.id), { active: false, [member]: value }],
              ["PUT", webhookPath(before.id), { active: false, [member]: value }]
            ] as const
            for (const [method, path, body] of requests) {
              const answer = yield* ask(method, path, body)
              const context = `${method} ${JSON.stringify(value)} ${answer.text}`
              assert.strictEqual(outcomeOf(answer), "400 BODY_INVALID", context)
              assertRefused(answer, 400, "BODY_INVALID")
              const { error } = answer.json<{ readonly error: string }>()
              assert.isTrue(error.startsWith(member), context)
              for (const part of ["ssss", "😀😀", "c2VjcmV0", "misspelt"]) assert.notInclude(error, part)
            }
          }
          assert.deepEqual(yield* get(before.id), before)
        })
      )
    }

    it.effect("refuses what the guard refuses, on creation and on update, and stores nothing of it", () =>
      Effect.gen(function* () {
        const { secret: _, ...before } = yield* subscribe()
        const { count } = yield* read<WebhookPage>(WEBHOOKS)
        for (const url of refused) {
          for (const [method, path] of [
            ["POST", WEBHOOKS],
            ["PATCH", webhookPath(before.id)],
            ["PUT", webhookPath(before.id)]
          ] as const) {
            const answer = yield* ask(method, path, { url, active: false })
            assert.strictEqual(outcomeOf(answer), "400 URL_NOT_ALLOWED", `${method} ${url} ${answer.text}`)
            assertRefused(answer, 400, "URL_NOT_ALLOWED")
            assert.notInclude(answer.text, "password")
          }
        }
        assert.deepEqual(yield* get(before.id), before)
        assert.strictEqual((yield* read<WebhookPage>(WEBHOOKS)).count, count)
      })
    )
  })

  describe("reading", () => {
    it.effect("lists oldest first, page by page, without a secret", () =>
      Effect.gen(function* () {
        const made: Array<string> = []
        const secrets: Array<string> = []
        for (let n = 0; n < 5; n += 1) {
          const { id, secret } = yield* subscribe()
          made.push(id)
          secrets.push(secret)
        }
        const all = yield* read<WebhookPage>(WEBHOOKS)
        assert.strictEqual(all.count, all.webhooks.length)
        assert.isNull(all.nextCursor)
        assert.deepEqual(
          all.webhooks.map(({ id }) => id).filter((id) => made.includes(id)),
          made
        )
        const keys = all.webhooks.map(({ createdAt, id }) => createdAt + id)
        assert.deepEqual(keys, keys.toSorted())
        for (const secret of secrets) assert.notInclude(JSON.stringify(all), secret.slice(6, -4))

        const paged: Array<WebhookRow> = []
        let cursor: string | null = ""
        while (cursor !== null) {
          const answer: Answer = yield* ask("GET", `${WEBHOOKS}?limit=2&cursor=${cursor}`)
          const page: WebhookPage = answer.json()
          assert.isAtMost(page.count, 2)
          assert.strictEqual(answer.headers["link"] === undefined, page.nextCursor === null)
          paged.push(...page.webhooks)
          cursor = page.nextCursor
        }
        assert.deepEqual(paged, all.webhooks)
        const second = yield* read<WebhookPage>(`${WEBHOOKS}?limit=1&offset=1`)
        assert.deepEqual(second.webhooks, all.webhooks.slice(1, 2))
        for (const limit of ["0", "-3", "1.9"]) {
          assert.strictEqual((yield* read<WebhookPage>(`${WEBHOOKS}?limit=${limit}`)).count, 1)
        }
        for (const limit of ["", "many", "99999"]) {
          assert.strictEqual((yield* read<WebhookPage>(`${WEBHOOKS}?limit=${limit}`)).count, all.count)
        }
        for (const bad of [
          "x",
          "W10",
          Buffer.from('["x",{"createdAt":"x","id":"y"}]').toString("base64url")
        ]) {
          assertRefused(yield* ask("GET", `${WEBHOOKS}?cursor=${bad}`), 400, "CURSOR_INVALID")
        }
        assertRefused(yield* ask("GET", `${WEBHOOKS}?offset=100001`), 400, "BAD_REQUEST")
      })
    )

    it.effect("finds one by its id in any case, and answers 404 for every other id on every route", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        assert.strictEqual((yield* get(id.toUpperCase())).id, id)
        for (const other of [randomUUID(), "x", "00000000-0000-0000-0000-000000000000", `${id}0`, "%27"]) {
          for (const [method, suffix, body] of [
            ["GET", ""],
            ["PATCH", "", { active: false }],
            ["PUT", "", { url: RECEIVER }],
            ["PATCH", "", { secret: "another" }],
            ["DELETE", ""],
            ["POST", "/rotate-secret", {}]
          ] as const) {
            const answer = yield* ask(method, webhookPath(other, suffix), body)
            assertRefused(answer, 404, "NOT_FOUND")
          }
        }
        assert.isTrue((yield* get(id)).active)
      })
    )

    it.effect("is open to nobody without a key", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        for (const [method, path] of [
          ["GET", WEBHOOKS],
          ["POST", WEBHOOKS],
          ["GET", webhookPath(id)],
          ["PATCH", webhookPath(id)],
          ["PUT", webhookPath(id)],
          ["DELETE", webhookPath(id)],
          ["POST", webhookPath(id, "/rotate-secret")]
        ] as const) {
          const answer = yield* send(path, { method, headers: { authorization: "Bearer wrong" } })
          assertRefused(answer, 401, "INVALID_API_KEY")
        }
      })
    )
  })

  describe("updates", () => {
    for (const method of ["PATCH", "PUT"] as const) {
      it.effect(`by ${method} change what is given and nothing else`, () =>
        Effect.gen(function* () {
          const { secret: _, ...made } = yield* subscribe({
            events: ["tct.revoked"],
            filter: { namespace: "n" }
          })
          let known: WebhookRow = made
          for (const change of [
            { active: false },
            { url: "https://203.0.113.11/other" },
            { events: ["agent.*", "unknown"] },
            { filter: { aid: "a" } },
            { filter: {}, events: [] },
            { active: true }
          ]) {
            const answer = yield* ask(method, webhookPath(made.id), change)
            assert.strictEqual(answer.status, 200, answer.text)
            const now = answer.json<WebhookRow>()
            assert.deepEqual(now, { ...known, ...change, updatedAt: now.updatedAt })
            assert.isAtLeast(Date.parse(now.updatedAt), Date.parse(known.updatedAt))
            assert.deepEqual(yield* get(made.id), now)
            known = now
          }
        })
      )
    }

    it.effect("that change nothing leave everything as it is", () =>
      Effect.gen(function* () {
        const { secret, ...made } = yield* subscribe({ events: ["tct.revoked"], filter: { namespace: "n" } })
        const { events, filter, url } = made
        for (const body of [
          {},
          { events, filter, url, active: true },
          { secret: "" },
          { secret },
          { colour: "red" }
        ]) {
          const answer = yield* ask("PATCH", webhookPath(made.id), body)
          assert.deepEqual(answer.json(), { ...made })
        }
      })
    )

    it.effect("of the secret show its hint, and nothing else of it", () =>
      Effect.gen(function* () {
        const { id, secretHint } = yield* subscribe()
        const answer = yield* ask("PATCH", webhookPath(id), { secret: "brand-new-secret" })
        assert.notInclude(answer.text, "brand-new")
        assert.notProperty(answer.json(), "secret")
        assert.strictEqual(answer.json<WebhookRow>().secretHint, "cret")
        assert.notStrictEqual(secretHint, "cret")
      })
    )

    it.effect("of different members at the same moment all take effect", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        const changes = [
          { active: false },
          { url: "https://203.0.113.12/" },
          { events: ["agent.expired"] },
          { filter: { runId: "r" } },
          { secret: "concurrently given" }
        ]
        const answers = yield* Effect.forEach(changes, (change) => ask("PATCH", webhookPath(id), change), {
          concurrency: "unbounded"
        })
        for (const answer of answers) assert.strictEqual(answer.status, 200, answer.text)
        assert.deepInclude(yield* get(id), {
          active: false,
          url: "https://203.0.113.12/",
          events: ["agent.expired"],
          filter: { runId: "r" },
          secretHint: "iven"
        })
      })
    )
  })

  describe("rotation of the secret", () => {
    const rotate = (id: string, body?: unknown) => ask("POST", webhookPath(id, "/rotate-secret"), body)

    it.effect("answers the new secret and how long the one before stays valid", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe({ secret: "the first one" })
        const about = Date.now() + 86_400_000
        const first = (yield* rotate(id)).json()
        assert.deepEqual(Object.keys(first), ["id", "secret", "previousSecretExpiresAt"])
        assert.strictEqual(first["id"], id)
        assert.match(String(first["secret"]), GENERATED)
        assert.closeTo(Date.parse(String(first["previousSecretExpiresAt"])), about, 60_000)
        assert.strictEqual((yield* get(id)).secretHint, String(first["secret"]).slice(-4))

        const given = (yield* rotate(id, { secret: "the third one", graceSecs: 604_800 })).json()
        assert.strictEqual(given["secret"], "the third one")
        assert.closeTo(Date.parse(String(given["previousSecretExpiresAt"])), about + 6 * 86_400_000, 60_000)
        const none = (yield* rotate(id, { secret: "", graceSecs: 0 })).json()
        assert.match(String(none["secret"]), GENERATED)
        assert.isNull(none["previousSecretExpiresAt"])
      })
    )

    it.effect("refuses another type, and a time that is none or too long", () =>
      Effect.gen(function* () {
        const { id, secretHint } = yield* subscribe()
        for (const graceSecs of [-1, 604_801, 1.5, "60", null, []]) {
          const answer = yield* rotate(id, { graceSecs })
          assertRefused(answer, 400, "BODY_INVALID")
          assert.match(answer.json<{ readonly error: string }>().error, /^graceSecs/)
        }
        for (const secret of wrong["secret"] ?? []) {
          assertRefused(yield* rotate(id, { secret }), 400, "BODY_INVALID")
        }
        for (const body of ["[]", "null", "x", '{"secret":"a\\u0000b"}', '{"graceSecs":1e400}']) {
          assertRefused(yield* rotate(id, body), 400, "BODY_INVALID")
        }
        assert.strictEqual((yield* get(id)).secretHint, secretHint)
      })
    )

    it.effect("by several at the same moment gives each one a secret of its own", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        const answers = yield* Effect.all(
          Array.from({ length: 6 }, () => rotate(id)),
          { concurrency: "unbounded" }
        )
        const secrets = answers.map((answer) => {
          assert.strictEqual(answer.status, 200, answer.text)
          return answer.json<{ readonly secret: string }>().secret
        })
        assert.strictEqual(new Set(secrets).size, 6)
        const { secretHint } = yield* get(id)
        assert.include(
          secrets.map((secret) => secret.slice(-4)),
          secretHint
        )
      })
    )
  })

  describe("removal", () => {
    it.effect("answers what was removed, and 404 from then on", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        const answer = yield* ask("DELETE", webhookPath(id.toUpperCase()))
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.text, JSON.stringify({ id, deleted: true }))
        for (const method of ["DELETE", "GET"])
          assertRefused(yield* ask(method, webhookPath(id)), 404, "NOT_FOUND")
        const { webhooks } = yield* read<WebhookPage>(WEBHOOKS)
        assert.notInclude(
          webhooks.map((webhook) => webhook.id),
          id
        )
      })
    )

    it.effect("by several at the same moment is done by one", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        const answers = yield* Effect.all(
          Array.from({ length: 6 }, () => ask("DELETE", webhookPath(id))),
          { concurrency: "unbounded" }
        )
        assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 404, 404, 404, 404, 404])
      })
    )
  })

  describe("with an Idempotency-Key", () => {
    const create = (key: string, body: unknown) => ask("POST", WEBHOOKS, body, { "idempotency-key": key })

    it.effect("creates once and repeats the same answer, secret included", () =>
      Effect.gen(function* () {
        const key = unique("key")
        const first = yield* create(key, { url: RECEIVER })
        assert.strictEqual(first.status, 201)
        assert.isUndefined(first.headers["idempotency-replayed"])
        const { id, secret } = first.json<WebhookRow & { readonly secret: string }>()
        assert.match(secret, GENERATED)
        // what happens to it meanwhile does not matter
        yield* ask("PATCH", webhookPath(id), { active: false, secret: "another secret" })
        const again = yield* create(key, { url: RECEIVER })
        assert.strictEqual(again.status, 201)
        assert.strictEqual(again.headers["idempotency-replayed"], "true")
        assert.strictEqual(again.text, first.text)
        assert.strictEqual(again.headers["content-type"], "application/json")
        const { webhooks } = yield* read<WebhookPage>(WEBHOOKS)
        assert.lengthOf(
          webhooks.filter((webhook) => webhook.id === id),
          1
        )
      })
    )

    it.effect("of many at the same moment creates one", () =>
      Effect.gen(function* () {
        const [key, url] = [unique("key"), `${RECEIVER}/${unique("path")}`]
        const answers = yield* Effect.all(
          Array.from({ length: 8 }, () => create(key, { url })),
          { concurrency: "unbounded" }
        )
        const outcomes = new Set(answers.map(outcomeOf))
        outcomes.delete("409 IDEMPOTENCY_IN_PROGRESS")
        assert.deepEqual([...outcomes], ["201 ok"])
        assert.strictEqual(
          new Set(answers.filter(({ status }) => status === 201).map(({ text }) => text)).size,
          1
        )
        const { webhooks } = yield* read<WebhookPage>(WEBHOOKS)
        assert.lengthOf(
          webhooks.filter((webhook) => webhook.url === url),
          1
        )
      })
    )

    it.effect("remembers refusals of members and URLs, but not of bodies that are no object", () =>
      Effect.gen(function* () {
        for (const [body, code] of [
          [{ url: RECEIVER, events: "all" }, "BODY_INVALID"],
          [{ url: "https://127.0.0.1/" }, "URL_NOT_ALLOWED"]
        ] as const) {
          const key = unique("key")
          const first = yield* create(key, body)
          assertRefused(first, 400, code)
          const again = yield* create(key, body)
          assert.deepEqual([again.text, again.headers["idempotency-replayed"]], [first.text, "true"])
          assertRefused(yield* create(key, { url: RECEIVER }), 422, "IDEMPOTENCY_KEY_REUSED")
        }
        const key = unique("key")
        assertRefused(yield* create(key, "[]"), 400, "BODY_INVALID")
        assert.strictEqual((yield* create(key, { url: RECEIVER })).status, 201)
        assertRefused(yield* create(" ", { url: RECEIVER }), 400, "IDEMPOTENCY_KEY_INVALID")
      })
    )
  })
})
