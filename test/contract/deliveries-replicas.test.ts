import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import type { BreakerRow } from "../support/service/deliveries.ts"
import { API_KEY, sqlOn, startOn } from "../support/service/Service.ts"
import { accept, answer, receiver, slowly } from "../support/webhooks/WebhookReceiver.ts"

const settings = {
  WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8",
  WEBHOOK_RETRY_SCHEDULE: "1",
  WEBHOOK_RETRY_ATTEMPTS: "100",
  WEBHOOK_BREAKER_RESET_MS: "60000",
  LEASE_SECS: "2"
}
/** Of a delivery, with these settings; then it is looked for within a second. */
const LEASE_MS = 3000

const at = (url: string) => ({ url, apiKey: API_KEY })

const ask = <T>(url: string, path: string, body?: unknown) =>
  Effect.map(sendTo(at(url), path, { key: true, ...(body === undefined ? {} : { body }) }), (found) => {
    assert.isBelow(found.status, 300, found.text)
    return found.json<T>()
  })

/** Reports events of a run in batches; with their ids. */
const happen = Effect.fnUntraced(function* (url: string, runId: string, count: number) {
  const events = Array.from({ length: count }, () => ({ id: randomUUID(), type: "agent.expired", runId }))
  for (let sent = 0; sent < count; sent += 100) yield* ask(url, "/api/events", events.slice(sent, sent + 100))
  return events.map(({ id }) => id)
})

const subscribe = (url: string, target: string, runId: string) =>
  Effect.map(
    ask<{ readonly id: string }>(url, "/api/webhooks", { url: target, filter: { runId } }),
    ({ id }) => id
  )

const idOf = ({ headers }: { readonly headers: Readonly<Record<string, unknown>> }) =>
  String(headers["webhook-id"])

describe("two replicas", () => {
  it.live("deliver each event once, with no more attempts at once than one would make", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase
        const [a, b] = yield* Effect.all([startOn(databaseUrl, settings), startOn(databaseUrl, settings)], {
          concurrency: 2
        })
        const { concurrency, received, url } = yield* receiver(slowly(5))
        const runId = randomUUID()
        yield* subscribe(a.url, url, runId)
        const ids = yield* Effect.forEach([a, b, a, b], (replica) => happen(replica.url, runId, 150), {
          concurrency: 4
        })
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n >= 600
        )
        const sql = yield* sqlOn(databaseUrl)
        yield* eventually(
          sql<{
            readonly n: number
          }>`select count(*)::int as n from webhook_deliveries where status = 'delivered'`,
          ([row]) => row?.n === 600
        )
        assert.sameMembers(received.map(idOf), ids.flat())
        assert.isAtMost(concurrency(), 8)
        const [log] = yield* sql<{ readonly n: number }>`select count(*)::int as n from webhook_attempts`
        assert.strictEqual(log?.n, 600)
      })
    )
  )

  it.live("agree on a circuit breaker within a second, open or closed by hand", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase
        const [a, b] = yield* Effect.all([startOn(databaseUrl, settings), startOn(databaseUrl, settings)], {
          concurrency: 2
        })
        const { behave, received, url } = yield* receiver(answer(500))
        const runId = randomUUID()
        const webhook = yield* subscribe(a.url, url, runId)
        const path = `/api/webhooks/${webhook}/circuit-breaker`
        yield* happen(a.url, runId, 20)
        yield* eventually(ask<BreakerRow>(a.url, path), ({ state }) => state === "open")
        assert.strictEqual((yield* ask<BreakerRow>(b.url, path)).state, "open")
        const before = received.length
        yield* happen(b.url, runId, 20)
        // What comes afterwards to another endpoint arrives: B has looked, and left the first one alone.
        const healthy = yield* receiver()
        const other = randomUUID()
        yield* subscribe(b.url, healthy.url, other)
        yield* happen(b.url, other, 1)
        yield* eventually(
          Effect.sync(() => healthy.received.length),
          (n) => n === 1
        )
        assert.strictEqual(received.length, before)

        behave(accept)
        const began = performance.now()
        yield* ask(b.url, `${path}/reset`, {})
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n > before
        )
        assert.isBelow((received[before]?.at ?? Number.POSITIVE_INFINITY) - began, 2000)
        assert.strictEqual((yield* ask<BreakerRow>(a.url, path)).state, "closed")
        yield* eventually(
          Effect.sync(() => new Set(received.slice(before).map(idOf)).size),
          (n) => n === 40
        )
      })
    )
  )

  it.live(
    "take over from one that is killed or paused, and repeat no more than it had under way",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const [a, b] = yield* Effect.all([startOn(databaseUrl, settings), startOn(databaseUrl, settings)], {
            concurrency: 2
          })
          const { received, url } = yield* receiver(slowly(20))
          const sql = yield* sqlOn(databaseUrl)
          const done = sql<{ readonly n: number }>`
          select count(*)::int as n from webhook_deliveries where status = 'delivered'`
          const runId = randomUUID()
          yield* subscribe(a.url, url, runId)
          const ids = yield* happen(a.url, runId, 200)

          // It has claimed, and is attempting, when it is stopped.
          yield* eventually(
            Effect.sync(() => received.length),
            (n) => n >= 40
          )
          yield* a.service.signal("SIGSTOP")
          const paused = performance.now()
          yield* eventually(done, ([row]) => row?.n === 200)
          assert.isBelow(performance.now() - paused, LEASE_MS + 8000)
          yield* a.service.signal("SIGCONT")

          const more = yield* happen(b.url, runId, 200)
          yield* eventually(
            Effect.sync(() => received.length),
            (n) => n >= 280
          )
          yield* Effect.all([a.service.kill, b.service.kill])
          const { url: last } = yield* startOn(databaseUrl, settings)
          yield* eventually(done, ([row]) => row?.n === 400)
          assert.sameMembers([...new Set(received.map(idOf))], [...ids, ...more])
          assert.isAtMost(received.length - 400, 3 * 16)
          assert.strictEqual((yield* ask<{ ready: boolean }>(last, "/api/readyz")).ready, true)
        })
      ),
    60_000
  )
})

describe("a replica that stops", () => {
  it.live("finishes what it is attempting and leaves the rest to be claimed at once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase
        const { service, url } = yield* startOn(databaseUrl, settings)
        const { received, url: target } = yield* receiver(slowly(300))
        const runId = randomUUID()
        yield* subscribe(url, target, runId)
        yield* happen(url, runId, 60)
        yield* eventually(
          Effect.sync(() => received.length),
          (n) => n >= 8
        )
        assert.strictEqual((yield* service.stop).code, 0)
        const sql = yield* sqlOn(databaseUrl)
        const [state] = yield* sql<{ readonly claimed: number; readonly delivered: number }>`
          select count(*) filter (where claimed_by is not null)::int as claimed,
            count(*) filter (where status = 'delivered')::int as delivered
          from webhook_deliveries`
        assert.deepEqual(state, { claimed: 0, delivered: received.length })
        assert.isBelow(received.length, 60)
        assert.strictEqual(new Set(received.map(idOf)).size, received.length)
      })
    )
  )
})
