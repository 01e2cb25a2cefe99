import { createHmac, createPublicKey, randomUUID, verify } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Webhook } from "standardwebhooks"
import { eventually } from "../support/db/eventually.ts"
import { newAgent } from "../support/service/agents.ts"
import { read, send } from "../support/service/client.ts"
import {
  act,
  breakerOf,
  deliveriesOf,
  deliveryOf,
  type DeliveryRow,
  detailsOf,
  happen,
  subscribed
} from "../support/service/deliveries.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { ingest } from "../support/service/events.ts"
import { ask, subscribe, webhookPath, type WebhookRow } from "../support/service/webhooks.ts"
import { Control, ownService } from "../support/service/Service.ts"
import {
  accept,
  answer,
  type Behaviour,
  endless,
  garbage,
  hang,
  huge,
  type Received,
  receiver,
  reset,
  slowly
} from "../support/webhooks/WebhookReceiver.ts"

const THRESHOLD = 5
const RESET_MS = 5000
const TIMEOUT_MS = 1000

const service = ownService({
  WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8",
  WEBHOOK_RETRY_SCHEDULE: "1",
  WEBHOOK_RETRY_ATTEMPTS: "3",
  WEBHOOK_TIMEOUT_MS: String(TIMEOUT_MS),
  WEBHOOK_BREAKER_RESET_MS: String(RESET_MS)
})

const isDone = ({ status }: DeliveryRow) => status !== "pending"

/** Fails so many times with 503 and then accepts. */
const failing =
  (times: number): Behaviour =>
  (response, received, n) =>
    n <= times ? answer(503, `failure ${n}`)(response, received, n) : accept(response, received, n)

const headersOf = ({ headers }: Received) => headers as Record<string, string> // Node joins what comes twice

interface Message {
  readonly deliveryId: string
  readonly eventType: string
  readonly payload: { readonly seq: number }
  readonly enqueuedAt: string
}

/** The message, if it verifies with the secret. */
const messageOf = (secret: string, received: Received) =>
  new Webhook(secret).verify(received.body, headersOf(received)) as Message // as every message is

interface Requeued {
  readonly requeued: number
  readonly next?: string | null
}

/** Until what was under way when a breaker opened has been written down, which still moves the breaker. */
const settled = (id: string, received: ReadonlyArray<Received>) =>
  eventually(
    deliveriesOf(id),
    (rows) => rows.filter(({ attempts }) => attempts > 0).length === received.length
  )

interface AuditRow {
  readonly action: string
  readonly actorId: string
  readonly targetId: string
  readonly details: Readonly<Record<string, unknown>>
}

const auditOf = (webhook: string, action: string) =>
  Effect.map(
    read<{ readonly entries: ReadonlyArray<AuditRow> }>(`/api/audit?target_id=${webhook}&action=${action}`),
    ({ entries }) => entries.filter((entry) => entry.targetId === webhook && entry.action === action)
  )

layer(service, { timeout: "60 seconds", excludeTestServices: true })("webhook deliveries", (it) => {
  describe("a request", () => {
    it.effect("is signed so that standard libraries, published keys and existing receivers verify it", () =>
      Effect.gen(function* () {
        const { id, received, runId, secret } = yield* subscribed()
        const [eventId = ""] = yield* happen(runId)
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n === 1
        )
        const [request] = received
        assert(request !== undefined)
        const [headers, body] = [headersOf(request), request.body.toString()]

        const message = messageOf(secret, request)
        assert.deepEqual(Object.keys(message), ["deliveryId", "eventType", "payload", "enqueuedAt"])
        const { payload } = message
        assert.deepEqual(Object.keys(payload), ["id", "type", "ts", "runId", "payload", "source", "seq"])
        assert.isAbove(Number(payload.seq), 0)
        assert.strictEqual(headers["webhook-id"], eventId)
        assert.strictEqual(headers["x-aitp-event"], "agent.expired")
        assert.strictEqual(headers["x-aitp-delivery"], message.deliveryId)
        assert.strictEqual(headers["x-aitp-attempt"], "1")
        assert.strictEqual(headers["content-type"], "application/json")
        assert.match(headers["user-agent"] ?? "", /^aitp-control-plane\//)
        assert.strictEqual(
          headers["x-aitp-signature"],
          `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`
        )

        const keys = yield* send("/.well-known/jwks.json")
        assert.strictEqual(keys.headers["cache-control"], "max-age=300")
        assert.strictEqual(keys.headers["access-control-allow-origin"], "*")
        const [jwk] = keys.json<{ readonly keys: ReadonlyArray<Record<string, string>> }>().keys
        assert.match(jwk?.["kid"] ?? "", /^wh-[\w-]{43}$/)
        assert(jwk !== undefined)
        const signature =
          headers["webhook-signature"]?.split(" ").find((each) => each.startsWith("v1a,")) ?? ""
        assert.isTrue(
          verify(
            null,
            Buffer.from(`${eventId}.${headers["webhook-timestamp"]}.${body}`),
            createPublicKey({ key: jwk, format: "jwk" }),
            Buffer.from(signature.slice(4), "base64")
          )
        )
        const etag = keys.headers.etag ?? ""
        const again = yield* send("/.well-known/jwks.json", { headers: { "if-none-match": etag } })
        assert.strictEqual(again.status, 304)

        const row = yield* deliveryOf(id, isDone)
        assert.deepInclude(row, {
          id: message.deliveryId,
          eventId,
          seq: payload.seq,
          eventType: "agent.expired",
          status: "delivered",
          attempts: 1,
          statusCode: 200,
          error: null,
          nextRetryAt: null
        })
        const details = yield* detailsOf(id, row.id)
        assert.strictEqual(details.body, body)
        assert.deepEqual(
          details.attemptLog.map(({ error, response, statusCode }) => ({ error, response, statusCode })),
          [{ error: null, response: "ok", statusCode: 200 }]
        )
      })
    )

    it.effect("is signed with both secrets while one is being replaced, and then with the new one", () =>
      Effect.gen(function* () {
        const { id, received, runId, secret } = yield* subscribed()
        const rotated = yield* act<{ readonly secret: string }>(id, "/rotate-secret", 200, {})
        yield* happen(runId)
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n === 1
        )
        const [first] = received
        assert(first !== undefined)
        for (const valid of [secret, rotated.secret]) new Webhook(valid).verify(first.body, headersOf(first))
        const last = yield* act<{ readonly secret: string }>(id, "/rotate-secret", 200, { graceSecs: 0 })
        yield* happen(runId)
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n === 2
        )
        const [, second] = received
        assert(second !== undefined)
        new Webhook(last.secret).verify(second.body, headersOf(second))
        assert.throws(() => new Webhook(rotated.secret).verify(second.body, headersOf(second)))
      })
    )

    it.effect("comes soon after its event, also while a neighbour hangs", () =>
      Effect.gen(function* () {
        const hanging = yield* subscribed(hang)
        const { received, runId } = yield* subscribed()
        yield* happen(hanging.runId, 100)
        const waits: Array<number> = []
        for (let n = 1; n <= 20; n += 1) {
          const began = performance.now()
          yield* happen(runId)
          yield* eventually(
            Effect.sync(() => received.length),
            (count) => count === n
          )
          waits.push((received.at(-1)?.at ?? Number.POSITIVE_INFINITY) - began)
        }
        // On a busy machine; one that waited for the neighbour would have to wait for the time-out.
        assert.isBelow(waits.toSorted((a, b) => a - b)[10] ?? 0, TIMEOUT_MS / 2)
        assert.strictEqual(hanging.concurrency(), 8)
      })
    )
  })

  describe("a failure", () => {
    it.effect("is tried again with the same bytes and id until it is accepted", () =>
      Effect.gen(function* () {
        const { id, received, runId } = yield* subscribed(failing(2))
        yield* happen(runId)
        const waiting = yield* deliveryOf(id, ({ attempts }) => attempts === 1)
        assert.deepInclude(waiting, { status: "pending", statusCode: 503, error: "non-2xx (503): failure 1" })
        assert.isNotNull(waiting.nextRetryAt)
        const row = yield* deliveryOf(id, isDone)
        assert.deepInclude(row, { status: "delivered", attempts: 3, error: null, nextRetryAt: null })
        const unique = (pick: (each: Received) => unknown) => new Set(received.map(pick)).size
        assert.strictEqual(
          unique(({ body }) => body.toString()),
          1
        )
        assert.strictEqual(
          unique(({ headers }) => headers["webhook-id"]),
          1
        )
        assert.strictEqual(
          unique(({ headers }) => headers["x-aitp-delivery"]),
          1
        )
        assert.deepEqual(
          received.map(({ headers }) => headers["x-aitp-attempt"]),
          ["1", "2", "3"]
        )
      })
    )

    it.effect("is final after the last attempt, and can be sent again by hand", () =>
      Effect.gen(function* () {
        const { behave, id, received, runId } = yield* subscribed(answer(500, "no"))
        yield* happen(runId)
        const failed = yield* deliveryOf(id, isDone)
        assert.deepInclude(failed, {
          status: "failed",
          attempts: 3,
          error: "non-2xx (500): no",
          nextRetryAt: null
        })
        assert.lengthOf(received, 3)
        assert.deepEqual(
          (yield* deliveriesOf(id, "status=failed")).map((row) => row.id),
          [failed.id]
        )

        behave(accept)
        const path = webhookPath(id, `/deliveries/${failed.id}/redeliver`)
        const headers = { "idempotency-key": randomUUID() }
        const first = yield* ask("POST", path, {}, headers)
        assert.strictEqual(first.status, 202)
        assert.strictEqual(first.text, '{"requeued":1}')
        yield* deliveryOf(id, ({ status }) => status === "delivered")
        const replay = yield* ask("POST", path, {}, headers)
        assert.strictEqual(replay.text, first.text)
        assert.strictEqual(replay.headers["idempotency-replayed"], "true")
        assert.strictEqual(received.at(-1)?.headers["x-aitp-attempt"], "4")
        assert.lengthOf(yield* auditOf(id, "webhook.redeliver"), 1)
      })
    )

    const transport: ReadonlyArray<readonly [name: string, behaviour: Behaviour]> = [
      ["a receiver that hangs", hang],
      ["a connection that is reset", reset],
      ["an answer that is no HTTP", garbage]
    ]
    for (const [name, behaviour] of transport) {
      it.effect(`is what ${name} makes of it`, () =>
        Effect.gen(function* () {
          const { behave, id, runId } = yield* subscribed(behaviour)
          yield* happen(runId)
          const row = yield* deliveryOf(id, ({ attempts }) => attempts === 1)
          assert.deepInclude(row, { status: "pending", statusCode: null })
          assert.match(row.error ?? "", /^\S.{3,}/)
          behave(accept)
          yield* deliveryOf(id, ({ status }) => status === "delivered")
        })
      )
    }

    it.effect("is what a redirect is, and nobody follows it", () =>
      Effect.gen(function* () {
        const elsewhere = yield* receiver()
        const { id, received, runId } = yield* subscribed(answer(307, "moved", { location: elsewhere.url }))
        yield* happen(runId)
        const row = yield* deliveryOf(id, isDone)
        assert.deepInclude(row, { status: "failed", statusCode: 307, error: "non-2xx (307): moved" })
        assert.lengthOf(received, 3)
        assert.lengthOf(elsewhere.received, 0)
      })
    )

    it.effect("is final when the guard refuses the target, and nobody's fault", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { id, received, runId } = yield* subscribed()
        yield* sql`update webhooks set url = 'http://169.254.169.254/latest', updated_at = now() where id = ${id}::uuid`
        yield* happen(runId, THRESHOLD + 1)
        const rows = yield* eventually(
          deliveriesOf(id),
          (found) => found.length > THRESHOLD && found.every(isDone)
        )
        for (const { attempts, error, status, statusCode } of rows) {
          assert.deepEqual([status, attempts, statusCode], ["failed", 1, null])
          assert.match(error ?? "", /^unsafe target: \S/)
        }
        assert.strictEqual((yield* breakerOf(id)).state, "closed")
        assert.lengthOf(received, 0)
      })
    )

    it.effect("is tried again when the receiver asks for it", () =>
      Effect.gen(function* () {
        const { received, runId } = yield* subscribed((response, each, n) =>
          (n === 1 ? answer(429, "", { "retry-after": "3" }) : accept)(response, each, n)
        )
        yield* happen(runId)
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n === 2
        )
        const [first, second] = received
        assert.isAbove((second?.at ?? 0) - (first?.at ?? 0), 2900)
      })
    )

    it.effect("is not what a long or endless body is, of which little is kept", () =>
      Effect.gen(function* () {
        for (const behaviour of [huge(10), endless, slowly(TIMEOUT_MS / 2)]) {
          const { id, runId } = yield* subscribed(behaviour)
          yield* happen(runId)
          const row = yield* deliveryOf(id, isDone)
          assert.deepInclude(row, { status: "delivered", attempts: 1, statusCode: 200 })
          const { attemptLog } = yield* detailsOf(id, row.id)
          assert.isAtMost((attemptLog[0]?.response ?? "").length, 4096)
        }
      })
    )
  })

  describe("410", () => {
    it.effect("ends the delivery and disables the subscription, which is announced once", () =>
      Effect.gen(function* () {
        const watcher = yield* receiver()
        yield* subscribe({ url: watcher.url, events: ["webhook.disabled"] })
        const { id, received, runId, url } = yield* subscribed(answer(410, "gone"))
        yield* happen(runId, 5)
        const disabled = yield* eventually(read<WebhookRow>(webhookPath(id)), ({ active }) => !active)
        assert.strictEqual(disabled.disabledReason, "gone")
        const rows = yield* eventually(deliveriesOf(id), (found) => found.every(isDone))
        assert.isTrue(rows.every(({ status }) => status === "failed"))
        assert.isAtMost(received.length, 5)
        const [entry, ...others] = yield* auditOf(id, "webhook.auto-disable")
        assert.deepInclude(entry, { actorId: "system", details: { url, reason: "gone" } })
        assert.lengthOf(others, 0)
        const announced = () =>
          watcher.received.filter(({ body }) => body.includes(`"webhookId":"${id}"`)).length
        yield* eventually(Effect.sync(announced), (n) => n === 1)
      })
    )
  })

  describe("an inactive subscription", () => {
    it.effect("fails what was waiting for it, when it is due", () =>
      Effect.gen(function* () {
        const { id, received, runId } = yield* subscribed(answer(500))
        yield* happen(runId)
        yield* deliveryOf(id, ({ attempts }) => attempts === 1)
        yield* ask("PATCH", webhookPath(id), { active: false })
        const row = yield* deliveryOf(id, isDone)
        assert.deepInclude(row, { status: "failed", error: "webhook missing or inactive", nextRetryAt: null })
        assert.isAtMost(received.length, 2)
      })
    )

    it.effect("leaves nothing behind when it is deleted", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { id, runId } = yield* subscribed(answer(500))
        yield* happen(runId, 3)
        yield* eventually(deliveriesOf(id), (rows) => rows.every(({ attempts }) => attempts > 0))
        yield* ask("DELETE", webhookPath(id))
        yield* eventually(
          sql<{ readonly n: number }>`
            select (select count(*) from webhook_deliveries where webhook_id = ${id}::uuid)::int
              + (select count(*) from webhook_breakers where webhook_id = ${id}::uuid)::int as n`,
          ([row]) => row?.n === 0
        )
        assertRefused(yield* send(webhookPath(id, "/deliveries"), { key: true }), 404, "NOT_FOUND")
      })
    )
  })

  describe("the circuit breaker", () => {
    it.effect("opens after consecutive failures, holds the rest back, and closes with a probe", () =>
      Effect.gen(function* () {
        const { behave, id, received, runId } = yield* subscribed(answer(500, "down"))
        assert.deepEqual(yield* breakerOf(id), {
          state: "closed",
          failures: 0,
          consecutiveSuccesses: 0,
          openedAt: null,
          nextProbeAt: null
        })
        yield* happen(runId, 30)
        const open = yield* eventually(breakerOf(id), ({ state }) => state === "open")
        assert.strictEqual((open.nextProbeAt ?? 0) - (open.openedAt ?? 0), RESET_MS)
        assert.isAtLeast(open.failures, THRESHOLD)
        yield* settled(id, received)
        const before = received.length
        assert.isAtMost(before, 16) // those under way, and those claimed with them
        const held = (yield* deliveriesOf(id)).filter(({ attempts }) => attempts === 0)
        assert.isAtLeast(held.length, 10)
        for (const { error, nextRetryAt, status } of held) {
          assert.deepEqual([status, error], ["pending", "circuit breaker open"])
          assert.isAtLeast(Date.parse(nextRetryAt ?? ""), open.nextProbeAt ?? 0)
        }
        const metrics = yield* send("/api/metrics")
        assert.match(metrics.text, /^aitp_control_plane_webhook_circuit_breaker_open\{state="open"\} [1-9]/m)
        assert.strictEqual((yield* read<WebhookRow>(webhookPath(id))).breaker, "open")

        behave(accept)
        yield* eventually(deliveriesOf(id), (rows) => rows.every(({ status }) => status === "delivered"))
        const closed = yield* breakerOf(id)
        assert.deepInclude(closed, { state: "closed", failures: 0, openedAt: null, nextProbeAt: null })
        const [probe] = received.slice(before)
        assert.isAtLeast((probe?.at ?? 0) + performance.timeOrigin, (open.nextProbeAt ?? 0) - 100)
      })
    )

    it.effect("can be closed by hand", () =>
      Effect.gen(function* () {
        const { behave, id, received, runId } = yield* subscribed(answer(500))
        yield* happen(runId, 30)
        const open = yield* eventually(breakerOf(id), ({ state }) => state === "open")
        yield* settled(id, received)
        const before = received.length
        behave(accept)
        assert.deepEqual(yield* act(id, "/circuit-breaker/reset", 200, {}), {
          state: "closed",
          failures: 0,
          consecutiveSuccesses: 0,
          openedAt: null,
          nextProbeAt: null
        })
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n > before
        )
        assert.isBelow((received[before]?.at ?? 0) + performance.timeOrigin, open.nextProbeAt ?? 0)
        assert.lengthOf(yield* auditOf(id, "webhook.circuit-breaker.reset"), 1)
        yield* eventually(deliveriesOf(id), (rows) => rows.every(({ status }) => status === "delivered"))
      })
    )
  })

  describe("a test", () => {
    interface Tested {
      readonly deliveryId: string
      readonly delivered: boolean
      readonly statusCode: number | null
      readonly durationMs: number
      readonly error: string | null
    }

    it.effect("is sent once and signed, and says what came of it", () =>
      Effect.gen(function* () {
        const { id, received, secret } = yield* subscribed()
        const tested = yield* act<Tested>(id, "/test", 200)
        assert.deepInclude(tested, { delivered: true, statusCode: 200, error: null })
        const [request] = received
        assert(request !== undefined)
        const message = new Webhook(secret).verify(request.body, headersOf(request)) as Record<
          string,
          unknown
        >
        assert.deepInclude(message, { deliveryId: tested.deliveryId, eventType: "webhook.test" })
        assert.strictEqual(request.headers["x-aitp-event"], "webhook.test")
        const row = yield* deliveryOf(id, isDone)
        assert.deepInclude(row, { id: tested.deliveryId, seq: null, status: "delivered", attempts: 1 })
        assert.deepInclude((yield* auditOf(id, "webhook.test"))[0], {
          details: { deliveryId: tested.deliveryId, delivered: true }
        })
      })
    )

    it.effect("is not repeated when it fails, and moves no breaker", () =>
      Effect.gen(function* () {
        const { id, received } = yield* subscribed(answer(500, "no"), { active: false })
        for (let n = 1; n <= THRESHOLD + 1; n += 1) {
          const tested = yield* act<Tested>(id, "/test", 200, {})
          assert.deepInclude(tested, { delivered: false, statusCode: 500, error: "non-2xx (500): no" })
          assert.lengthOf(received, n)
        }
        assert.strictEqual((yield* breakerOf(id)).state, "closed")
        assert.isTrue((yield* deliveriesOf(id)).every(({ status }) => status === "failed"))
      })
    )

    it.effect("gives up with the time-out", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribed(hang)
        const tested = yield* act<Tested>(id, "/test", 200)
        assert.deepInclude(tested, { delivered: false, statusCode: null })
        assert.isBelow(tested.durationMs, 5 * TIMEOUT_MS)
      })
    )
  })

  describe("recovery", () => {
    it.effect("sends what failed again, and what a subscription was never given", () =>
      Effect.gen(function* () {
        const runId = randomUUID()
        const before = yield* happen(runId, 4)
        const { behave, id, received } = yield* subscribed(answer(400), { filter: { runId } })
        const failed = yield* happen(runId)
        const since = "2026-01-01"
        yield* eventually(deliveriesOf(id), (rows) => rows.length === 1 && rows.every(isDone))
        behave(accept)
        assert.deepEqual(yield* act<Requeued>(id, "/recover", 202, { since }), { requeued: 1, next: null })
        yield* eventually(deliveriesOf(id, "status=delivered"), (rows) => rows.length === 1)
        assert.deepEqual(yield* act<Requeued>(id, "/recover", 202, { since, missed: true }), {
          requeued: 4,
          next: null
        })
        yield* eventually(deliveriesOf(id, "status=delivered"), (rows) => rows.length === 5)
        const accepted = received.slice(-5).map(({ headers }) => headers["webhook-id"])
        assert.sameMembers(accepted, [...failed, ...before])
        const audit = yield* auditOf(id, "webhook.recover")
        assert.sameDeepMembers(
          audit.map(({ details }) => [details["missed"], details["requeued"]]),
          [
            [false, 1],
            [true, 4]
          ]
        )
      })
    )

    it.effect("wants a time", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        for (const body of [
          {},
          { since: 1 },
          { since: "then" },
          { since: "2026-01-01", until: "x" },
          { since: "2026", missed: 1 }
        ])
          assertRefused(yield* ask("POST", webhookPath(id, "/recover"), body), 400, "BODY_INVALID")
        for (const body of ["[]", "null", "{", ""])
          assertRefused(yield* ask("POST", webhookPath(id, "/recover"), body), 400, "BODY_INVALID")
      })
    )
  })

  describe("the list", () => {
    it.effect("pages newest first, bound to subscription and filters", () =>
      Effect.gen(function* () {
        const { id, runId } = yield* subscribed()
        yield* happen(runId, 7)
        yield* eventually(deliveriesOf(id, "status=delivered"), (rows) => rows.length === 7)
        const seen: Array<DeliveryRow> = []
        let cursor = ""
        for (;;) {
          const page = yield* read<{
            readonly deliveries: ReadonlyArray<DeliveryRow>
            readonly count: number
            readonly nextCursor: string | null
          }>(webhookPath(id, `/deliveries?limit=3${cursor}`))
          assert.strictEqual(page.count, page.deliveries.length)
          seen.push(...page.deliveries)
          if (page.nextCursor === null) break
          cursor = `&cursor=${page.nextCursor}`
        }
        assert.strictEqual(new Set(seen.map((row) => row.id)).size, 7)
        assert.deepEqual(
          seen.map(({ createdAt }) => createdAt),
          seen
            .map(({ createdAt }) => createdAt)
            .toSorted()
            .toReversed()
        )
        const other = yield* subscribe()
        for (const path of [
          webhookPath(other.id, `/deliveries?limit=3${cursor}`),
          webhookPath(id, `/deliveries?limit=3&status=failed${cursor}`),
          webhookPath(id, "/deliveries?cursor=x")
        ])
          assertRefused(yield* send(path, { key: true }), 400, "CURSOR_INVALID")
        assert.lengthOf(yield* deliveriesOf(id, "event_type=tct.revoked"), 0)
        assert.lengthOf(yield* deliveriesOf(id, "eventType=agent.expired"), 7)
      })
    )
  })

  describe("a filter", () => {
    it.effect("takes either spelling of an Ed25519 AID, whichever the event has", () =>
      Effect.gen(function* () {
        const [plain, tagged] = [newAgent().aid, newAgent("ed25519").aid]
        for (const [aid, party] of [
          [plain, plain.replace("aid:pubkey:", "aid:pubkey:ed25519:")],
          [tagged, tagged.replace("ed25519:", "")]
        ]) {
          const { id } = yield* subscribe({ filter: { aid } })
          const type = "handshake.failed"
          yield* ingest([
            { type, aidA: party, aidB: "b" },
            { type, aidA: newAgent().aid, aidB: "b" },
            { type, aidA: "a", aidB: party }
          ])
          assert.lengthOf(yield* deliveriesOf(id), 2, aid)
        }
      })
    )
  })

  describe("an unknown subscription or delivery", () => {
    it.effect("answers 404 on every route, and every route wants the key", () =>
      Effect.gen(function* () {
        const { id } = yield* subscribe()
        const routes = (webhook: string, delivery: string) =>
          [
            ["GET", webhookPath(webhook, "/circuit-breaker")],
            ["POST", webhookPath(webhook, "/circuit-breaker/reset")],
            ["POST", webhookPath(webhook, "/test")],
            ["GET", webhookPath(webhook, "/deliveries")],
            ["GET", webhookPath(webhook, `/deliveries/${delivery}`)],
            ["POST", webhookPath(webhook, `/deliveries/${delivery}/redeliver`)],
            ["POST", webhookPath(webhook, "/recover")]
          ] as const
        const body = { since: "2026-01-01" }
        for (const webhook of [randomUUID(), "x", "%00"])
          for (const [method, path] of routes(webhook, randomUUID())) {
            const refusal = yield* ask(method, path, method === "GET" ? undefined : body)
            assert.include(webhook === "%00" ? [400, 404] : [404], refusal.status, path)
          }
        for (const delivery of [randomUUID(), "x"])
          for (const [method, path] of routes(id, delivery).filter(([, path]) => path.includes(delivery)))
            assertRefused(yield* ask(method, path), 404, "NOT_FOUND")
        for (const [method, path] of routes(id, randomUUID()))
          assertRefused(yield* send(path, { method }), 401, "INVALID_API_KEY")
      })
    )
  })

  describe("secrets", () => {
    it.effect("are not kept when a receiver sends them back, nor logged", () =>
      Effect.gen(function* () {
        const { process, sql } = yield* Control
        const { behave, id, runId, secret } = yield* subscribed()
        behave(answer(500, `{"secret":"${secret}"}`))
        yield* happen(runId)
        const row = yield* deliveryOf(id, ({ attempts }) => attempts > 0)
        const { attemptLog } = yield* detailsOf(id, row.id)
        assert.strictEqual(attemptLog[0]?.response, '{"secret":"[secret]"}')
        const found = yield* sql<{ readonly n: number }>`
          select count(*)::int as n from (
            select d::text as row from webhook_deliveries d union all select a::text from webhook_attempts a
            union all select w::text from webhooks w) as every
          where position(${secret} in every.row) > 0`
        assert.strictEqual(found[0]?.n, 0)
        assert.notInclude(process.log(), secret)
      })
    )
  })

  describe("metrics", () => {
    it.effect("count attempts and show what waits", () =>
      Effect.gen(function* () {
        const { runId } = yield* subscribed()
        yield* happen(runId)
        const page = yield* eventually(
          Effect.map(send("/api/metrics"), ({ text }) => text),
          (text) => /^aitp_control_plane_webhook_attempts_total\{outcome="delivered"\} [1-9]/m.test(text)
        )
        for (const series of [
          'webhook_attempts_total{outcome="rejected"}',
          'webhook_attempts_total{outcome="unanswered"}',
          'webhook_attempt_duration_seconds_bucket{le="+Inf"}',
          "webhook_oldest_due_seconds",
          'webhook_deliveries{status="pending"}',
          'webhook_deliveries{status="failed"}',
          'webhook_circuit_breaker_open{state="open"}',
          'webhook_circuit_breaker_open{state="half_open"}'
        ])
          assert.include(page, `\naitp_control_plane_${series} `)
      })
    )
  })
})
