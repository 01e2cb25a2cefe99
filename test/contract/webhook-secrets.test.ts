import { randomBytes } from "node:crypto"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { dumpOf, tracesOf } from "../support/db/dump.ts"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { unique } from "../support/service/agents.ts"
import { type Answer, read, sendTo } from "../support/service/client.ts"
import { hostileBodies, mutations } from "../support/service/attacks.ts"
import { assertEnvelope, assertRefused } from "../support/service/envelope.ts"
import { Control, isRemote, ownService, sqlOn, startOn } from "../support/service/Service.ts"
import {
  ask,
  RECEIVER,
  subscribe,
  webhookPath,
  type WebhookRow,
  WEBHOOKS
} from "../support/service/webhooks.ts"

type Created = WebhookRow & { readonly secret: string }

/** Where nobody listens. */
const NOBODY = "http://127.0.0.1:47111/"

const ringKey = (id: string) => `${id}:${randomBytes(32).toString("base64")}`

const detailsOf = Effect.fnUntraced(function* (webhook: string) {
  const { sql } = yield* Control
  return yield* sql<{ readonly action: string; readonly details: unknown; readonly requestId: string }>`
    select action, details, request_id as "requestId" from admin_audit_log where target_id = ${webhook} order by id`
})

describe.skipIf(isRemote)("webhook subscriptions and their secrets", () => {
  const environment = { LOG_LEVEL: "trace", WEBHOOK_URL_ALLOWLIST: "203.0.113.10,203.0.113.11" }
  layer(ownService(environment), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("stand in no row, no log line and no audit row, whatever is done with them", () =>
      Effect.gen(function* () {
        const { process, sql } = yield* Control
        const given = `given-${randomBytes(18).toString("hex")}`
        const patched = `patched-${randomBytes(18).toString("hex")}`
        const rotated = `rotated-${randomBytes(18).toString("hex")}`
        const key = { "idempotency-key": unique("key") }
        const created = (yield* ask("POST", WEBHOOKS, { url: RECEIVER, secret: given }, key)).json<Created>()
        const again = (yield* ask("POST", WEBHOOKS, { url: RECEIVER, secret: given }, key)).json<Created>()
        assert.deepEqual(again, created)
        const keyed = (yield* ask(
          "POST",
          WEBHOOKS,
          { url: RECEIVER },
          { "idempotency-key": unique("key") }
        )).json<Created>()
        const plain = yield* subscribe()
        yield* ask("PATCH", webhookPath(plain.id), { secret: patched })
        yield* ask("POST", webhookPath(plain.id, "/rotate-secret"), { secret: rotated })
        const made = (yield* ask("POST", webhookPath(plain.id, "/rotate-secret"), {})).json<Created>()
        // refusals of all kinds, of bodies that hold one
        for (const body of [
          { secret: given, url: 1 },
          { secret: [given], url: RECEIVER },
          { secret: given, url: "https://[" }
        ]) {
          for (const method of ["POST", "PATCH"]) {
            const answer = yield* ask(method, method === "POST" ? WEBHOOKS : webhookPath(plain.id), body)
            assert.strictEqual(answer.status, 400)
            assert.notInclude(answer.text, given)
          }
        }
        yield* ask("POST", WEBHOOKS, `{"url":"${RECEIVER}","secret":"${given}"`)
        yield* ask("DELETE", webhookPath(created.id))

        const secrets = [given, patched, rotated, keyed.secret, plain.secret, made.secret]
        const dump = yield* dumpOf(sql)
        assert.include(dump, plain.id)
        assert.include(process.log(), "webhook")
        for (const secret of secrets) {
          // generated ones also without their prefix, and as the key that they are
          const bare = secret.replace("whsec_", "")
          const traces = [...tracesOf(secret), ...tracesOf(bare), Buffer.from(bare, "base64").toString("hex")]
          for (const trace of traces) {
            assert.isFalse(dump.includes(trace), `row with ${trace}`)
            assert.isFalse(process.log().includes(trace), `log with ${trace}`)
          }
        }
      })
    )

    it.effect("are kept out of the audit, which says who did what to which subscription", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe({ events: ["agent.*"] })
        const url = "https://203.0.113.11/other"
        for (const body of [
          { url, events: ["agent.*"], active: true },
          { events: ["tct.revoked"], filter: { aid: "a" }, active: false },
          { secret: "patched secret" },
          {}
        ]) {
          yield* ask("PATCH", webhookPath(id), body)
        }
        yield* ask("POST", webhookPath(id, "/rotate-secret"), { secret: "rotated secret", graceSecs: 60 })
        yield* ask("DELETE", webhookPath(id), undefined, { "x-request-id": "request-of-removal" })
        const rows = yield* detailsOf(id)
        assert.deepEqual(
          rows.map(({ action, details }) => [action, details]),
          [
            ["webhook.create", { url: RECEIVER, events: ["agent.*"] }],
            ["webhook.update", { url }],
            ["webhook.update", { events: ["tct.revoked"], filter: { aid: "a" }, active: false }],
            ["webhook.update", { secretRotated: true }],
            ["webhook.update", {}],
            ["webhook.rotate-secret", { graceSecs: 60, secretRotated: true }],
            ["webhook.delete", {}]
          ]
        )
        assert.strictEqual(rows.at(-1)?.requestId, "request-of-removal")
      })
    )

    it.effect("show nothing of an act that was refused in the audit", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { id } = yield* subscribe()
        const count = Effect.map(
          sql<{ readonly n: number }>`select count(*)::int as n from admin_audit_log`,
          ([row]) => row?.n
        )
        const before = yield* count
        for (const body of [{ url: "https://127.0.0.1/" }, { active: 1 }]) {
          yield* ask("POST", WEBHOOKS, body)
          yield* ask("PATCH", webhookPath(id), body)
        }
        yield* ask("DELETE", webhookPath("00000000-0000-4000-8000-000000000000"))
        yield* ask("PATCH", webhookPath("00000000-0000-4000-8000-000000000000"), { active: false })
        assert.strictEqual(yield* count, before)
      })
    )

    it.effect(
      "survive every hostile body: none is the service's own fault, and what is refused changes nothing",
      () =>
        Effect.gen(function* () {
          const { process } = yield* Control
          const { id } = yield* subscribe()
          const before = process.log().length
          const sound = JSON.stringify({
            url: RECEIVER,
            events: ["agent.*", "tct.revoked"],
            secret: "whsec_c2VjcmV0",
            active: false,
            filter: { namespace: "n", aid: "a" },
            graceSecs: 60
          })
          const bodies = [
            ...hostileBodies(sound).map(([, body]) => body),
            ...mutations(sound, 300, 5),
            '{"url":"https://203.0.113.10/","filter":{"__proto__":"x"}}',
            '{"__proto__":{"active":false}}',
            '{"constructor":1,"toString":2}'
          ]
          const routes = [
            ["POST", WEBHOOKS],
            ["PATCH", webhookPath(id)],
            ["PUT", webhookPath(id)],
            ["POST", webhookPath(id, "/rotate-secret")]
          ] as const
          yield* Effect.forEach(
            bodies,
            Effect.fnUntraced(function* (body) {
              for (const [method, path] of routes) {
                const known = method === "POST" ? undefined : yield* read<WebhookRow>(path)
                const answer = yield* ask(method, path, body)
                const context = `${method} ${path} with ${body.toString().slice(0, 300)}`
                if (answer.status >= 400) {
                  assertEnvelope(answer, context)
                  assert.include([400, 413], answer.status, context)
                  if (known !== undefined) assert.deepEqual(yield* read<WebhookRow>(path), known, context)
                }
              }
            }),
            { discard: true }
          )
          assert.notInclude(process.log().slice(before), '"level":"error"')
        })
    )

    it.effect("belong to records that show the breaker's state and why a subscription was disabled", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { id } = yield* subscribe()
        yield* sql`insert into webhook_breakers (webhook_id, state) values (${id}::uuid, 'half_open')`
        yield* sql`
          update webhooks set active = false, disabled_at = '2026-01-02T03:04:05.678Z', disabled_reason = 'gone'
          where id = ${id}::uuid`
        const disabled = yield* read<WebhookRow>(webhookPath(id))
        assert.deepInclude(disabled, {
          active: false,
          disabledAt: "2026-01-02T03:04:05.678Z",
          disabledReason: "gone",
          breaker: "half_open"
        })
        const answer = yield* ask("PATCH", webhookPath(id), { active: true })
        assert.deepInclude(answer.json<WebhookRow>(), {
          active: true,
          disabledAt: null,
          disabledReason: null,
          breaker: "closed"
        })
      })
    )

    it.effect("leave with their subscription, whose deliveries follow by themselves", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { id } = yield* subscribe()
        yield* sql`
          insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, created_at)
          select gen_random_uuid(), ${id}::uuid, gen_random_uuid(), n, 'tct.revoked', '{}', 'failed', now()
          from generate_series(1, 2500) as n`
        const left = Effect.map(
          sql<{ readonly n: number }>`
            select (select count(*) from webhook_deliveries where webhook_id = ${id}::uuid)::int
              + (select count(*) from webhook_removals)::int as n`,
          ([row]) => row?.n
        )
        assert.strictEqual((yield* ask("DELETE", webhookPath(id))).status, 200)
        yield* eventually(left, (n) => n === 0)
      })
    )

    it.effect(
      "come to nothing for a database that is away, and the service is as before when it is back",
      () =>
        Effect.gen(function* () {
          const { sql } = yield* Control
          const { id } = yield* subscribe()
          const key = { "idempotency-key": unique("key") }
          // whoever wants the row waits for this lock until the session's limit
          yield* sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`lock table webhooks in access exclusive mode`
              const answers: ReadonlyArray<Answer> = yield* Effect.all(
                [
                  ask("POST", WEBHOOKS, { url: RECEIVER }, key),
                  ask("PATCH", webhookPath(id), { active: false })
                ],
                { concurrency: 2 }
              )
              for (const answer of answers) assertRefused(answer, 503, "UNAVAILABLE")
            })
          )
          assert.isTrue((yield* read<WebhookRow>(webhookPath(id))).active)
          const created = yield* ask("POST", WEBHOOKS, { url: RECEIVER }, key)
          assert.strictEqual(created.status, 201)
          assert.isUndefined(created.headers["idempotency-replayed"])
        })
    )
  })

  it.live(
    "move to another key over restarts, with the answers that show them, and may be lost without harm",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const sql = yield* sqlOn(databaseUrl)
          const [k1, k2, k3] = [ringKey("k1"), ringKey("k2"), ringKey("k3")]
          const start = (...ring: ReadonlyArray<string>) =>
            startOn(databaseUrl, { DATA_ENCRYPTION_KEYS: ring.join(","), LEASE_SECS: "1" })
          const create = (service: { readonly url: string; readonly apiKey: string }) =>
            sendTo(service, WEBHOOKS, {
              key: true,
              body: { url: RECEIVER },
              headers: { "idempotency-key": "one" }
            })
          const metric = (service: { readonly url: string; readonly apiKey: string }, key: string) =>
            Effect.map(sendTo(service, "/api/metrics"), ({ text }) =>
              Number(new RegExp(`webhook_secrets\\{key="${key}"\\} (\\d+)`).exec(text)?.[1])
            )
          const underKey = (header: Buffer) =>
            Effect.map(
              sql<{ readonly n: number }>`
              select (select count(*) from webhooks where position(${header}::bytea in secret_enc) = 1)::int
                + (select count(*) from idempotency_keys
                   where encrypted and position(${header}::bytea in response_body) = 1)::int as n`,
              ([row]) => row?.n
            )

          const first = yield* start(k1)
          const created = yield* create(first)
          assert.strictEqual(created.status, 201)
          yield* first.service.kill

          const second = yield* start(k2, k1)
          yield* eventually(underKey(Buffer.from("\u0001\u0002k2")), (n) => n === 2)
          assert.deepEqual([yield* metric(second, "current"), yield* metric(second, "other")], [1, 0])
          yield* second.service.kill

          const third = yield* start(k2)
          const again = yield* create(third)
          assert.deepEqual([again.text, again.headers["idempotency-replayed"]], [created.text, "true"])
          yield* third.service.kill

          const fourth = yield* start(k3)
          yield* eventually(
            Effect.sync(() => fourth.service.log()),
            (log) => log.includes('key \\"k2\\"')
          )
          assert.strictEqual(yield* metric(fourth, "unknown"), 1)
          const { id } = created.json<Created>()
          const shown = yield* sendTo(fourth, webhookPath(id), { key: true })
          assert.strictEqual(shown.status, 200)
          assertRefused(yield* create(fourth), 500, "INTERNAL")
          const rotate = yield* sendTo(fourth, webhookPath(id, "/rotate-secret"), { key: true, body: {} })
          assert.strictEqual(rotate.status, 200)
          assert.isNull(rotate.json()["previousSecretExpiresAt"])
          yield* eventually(metric(fourth, "current"), (n) => n === 1)
          assert.notInclude(fourth.service.log(), created.json<Created>().secret.slice(6))
        })
      )
  )

  it.live("serve what another replica stores from the moment on that the subscription is answered", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase
        const sql = yield* sqlOn(databaseUrl)
        const start = startOn(databaseUrl, { WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8" })
        const [a, b] = yield* Effect.all([start, start], { concurrency: 2 })
        const ingest = (service: typeof a) =>
          sendTo(service, "/api/events", { key: true, body: [{ type: "handshake.failed", payload: {} }] })
        const deliveries = (id: string) =>
          Effect.map(
            sql<{ readonly n: number }>`
              select count(*)::int as n from webhook_deliveries where webhook_id = ${id}::uuid`,
            ([row]) => row?.n
          )
        // both replicas have come to know that nobody subscribes
        for (const service of [a, b]) assert.strictEqual((yield* ingest(service)).status, 200)
        for (let round = 1; round <= 3; round += 1) {
          const inactive = yield* sendTo(a, WEBHOOKS, { key: true, body: { url: NOBODY, active: false } })
          yield* ingest(b)
          const { id } = inactive.json<Created>()
          assert.strictEqual(yield* deliveries(id), 0)
          yield* sendTo(a, webhookPath(id), { method: "PATCH", key: true, body: { active: true } })
          assert.strictEqual((yield* ingest(b)).status, 200)
          assert.strictEqual(yield* deliveries(id), 1)
          yield* sendTo(a, webhookPath(id), { method: "DELETE", key: true })
          yield* ingest(b)
        }
        for (let round = 1; round <= 3; round += 1) {
          const created = yield* sendTo(a, WEBHOOKS, { key: true, body: { url: NOBODY } })
          const { id } = created.json<Created>()
          assert.strictEqual((yield* ingest(b)).status, 200)
          assert.strictEqual(yield* deliveries(id), 1)
          // inactive at once, too, and active again
          const setActive = (active: boolean) =>
            sendTo(a, webhookPath(id), { method: "PATCH", key: true, body: { active } })
          assert.strictEqual((yield* setActive(false)).status, 200)
          yield* ingest(b)
          assert.strictEqual(yield* deliveries(id), 1)
          assert.strictEqual((yield* setActive(true)).status, 200)
          yield* ingest(b)
          assert.strictEqual(yield* deliveries(id), 2)
          assert.strictEqual((yield* sendTo(a, webhookPath(id), { method: "DELETE", key: true })).status, 200)
          yield* ingest(b)
          assert.isAtMost((yield* deliveries(id)) ?? 0, 2)
        }
      })
    )
  )
})
