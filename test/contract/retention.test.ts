import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { eventually } from "../support/db/eventually.ts"
import { tctEvent } from "../support/issuer-lists/observed.ts"
import { agentPath, joined, newAgent, register, tokenFor } from "../support/service/agents.ts"
import { outcome, outcomeOf, read, send } from "../support/service/client.ts"
import { deliveriesOf } from "../support/service/deliveries.ts"
import { type EventPage, ingest } from "../support/service/events.ts"
import { parseExposition } from "../support/service/exposition.ts"
import { ENTRIES, fetchList, revoke } from "../support/service/revocations.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"
import { anchor, anchorPath, pin } from "../support/service/trust.ts"
import { subscribe } from "../support/service/webhooks.ts"

const daysOf = (days: string) => ({
  RETENTION_INTERVAL_MS: "200",
  EXPIRY_SWEEP_INTERVAL_MS: "200",
  RETENTION_BATCH_LIMIT: "2",
  AUDIT_EVENTS_TTL_DAYS: days,
  WEBHOOK_DELIVERY_TTL_DAYS: days,
  ADMIN_AUDIT_TTL_DAYS: days,
  IDEMPOTENCY_KEY_TTL_DAYS: days,
  EXPIRED_AGENT_GRACE_DAYS: days
})

/** Tables of the scene's rows that go. */
const AGEING = ["audit_events", "webhook_deliveries", "admin_audit_log", "idempotency_keys", "agents"]

/** One of everything that ages out and of everything that does not. */
const scene = Effect.gen(function* () {
  const { sql } = yield* Control
  const [gone, expired] = [
    yield* joined({ published_at: Math.floor(Date.now() / 1000) - 60 }),
    yield* joined()
  ]
  assert.strictEqual(yield* outcome(agentPath(gone.aid), { method: "DELETE", key: true }), "200 ok")
  const jti = randomUUID()
  const runId = `old-${jti}`
  yield* ingest([
    tctEvent(newAgent().aid, newAgent().aid, jti),
    ...[1, 2, 3].map(() => ({ runId, id: randomUUID() }))
  ])
  const keyed = { body: [], key: true, headers: { "idempotency-key": jti } }
  yield* send("/api/events", keyed)
  const { jti: revoked } = yield* revoke()
  const { id: webhook } = yield* subscribe({ events: ["nothing"] })
  yield* sql`
    insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, created_at, next_retry_at)
    select gen_random_uuid(), ${webhook}::uuid, gen_random_uuid(), 1, 'tct.revoked', '{}', status, now(), now() + interval '1 hour'
    from unnest(array['pending', 'delivered', 'failed']) as status`
  const { id: trusted } = yield* anchor({ issuerUrl: `https://${jti}.example` })
  const { aid: pinned } = newAgent()
  yield* pin({ aid: pinned, pubkey: pinned.slice(-43) })
  return { gone, expired, jti, runId, keyed, revoked, webhook, trusted, pinned }
})

/** Makes everything two days older than it is. */
const age = Effect.gen(function* () {
  const { sql } = yield* Control
  for (const [table, column] of [
    ["audit_events", "created_at"],
    ["webhook_deliveries", "created_at"],
    ["admin_audit_log", "created_at"],
    ["idempotency_keys", "created_at"],
    ["revocation_entries", "created_at"],
    ["issued_tcts", "created_at"],
    ["trust_anchors", "created_at"],
    ["pinned_keys", "created_at"],
    ["agents", "deregistered_at"],
    ["agents", "manifest_expires_at"]
  ] as const) {
    yield* sql`update ${sql(table)} set ${sql(column)} = ${sql(column)} - interval '2 days'`
  }
})

const history = (query: string) =>
  Effect.map(read<EventPage>(`/api/events/history?${query}&limit=1000`), ({ events }) => events)

const sweptAfter = Effect.fnUntraced(function* (seconds: number) {
  yield* eventually(
    Effect.map(send("/api/metrics"), ({ text }) =>
      parseExposition(text).samples.find(({ name }) => name.endsWith("_retention_last_success_seconds"))
    ),
    (sample) => (sample?.value ?? 0) > seconds
  )
})

describe.skipIf(isRemote)("retention", () => {
  layer(ownService(daysOf("1")), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("removes what has aged, announces it, and keeps what says what is true now", () =>
      Effect.gen(function* () {
        const { expired, gone, jti, keyed, pinned, revoked, runId, trusted, webhook } = yield* scene
        assert.strictEqual((yield* send("/api/events", keyed)).headers["idempotency-replayed"], "true")
        yield* age
        yield* eventually(history(`run_id=${runId}`), (events) => events.length === 0)
        // a sweep may begin before everything has aged, and leaves the rest to the next one
        yield* eventually(history("type=retention.swept"), (swept) => {
          const removed = swept.map(({ payload }) => (payload as { readonly removed: object }).removed)
          const tables = new Set(removed.flatMap((counts) => Object.keys(counts)))
          return AGEING.every((table) => tables.has(table))
        })

        assert.deepEqual(
          (yield* deliveriesOf(webhook)).map(({ status }) => status),
          ["pending"]
        )
        const { entries } = yield* read<{ readonly entries: ReadonlyArray<unknown> }>("/api/audit")
        assert.deepEqual(entries, [])
        assert.isUndefined((yield* send("/api/events", keyed)).headers["idempotency-replayed"])
        assert.strictEqual(yield* outcome(agentPath(gone.aid)), "404 NOT_FOUND")

        assert.deepInclude(yield* read(agentPath(expired.aid)), { status: "expired" })
        assert.lengthOf((yield* read<{ readonly tcts: ReadonlyArray<unknown> }>(`/api/tcts/${jti}`)).tcts, 1)
        yield* read(`${ENTRIES}/${revoked}`)
        assert.isTrue((yield* fetchList).entries.some((entry) => entry.jti === revoked))
        yield* read(anchorPath(trusted))
        yield* read(`/api/pinned-keys?aid=${encodeURIComponent(pinned)}`)
        // the tombstone keeps the manifest out that it was taken out with
        assert.strictEqual(
          yield* outcome("/api/registry/enroll", { body: gone.minted.text }),
          "409 MANIFEST_STALE"
        )
        const newer = mintManifest(gone.agent)
        assert.strictEqual(outcomeOf(yield* register(newer.text, yield* tokenFor(newer))), "201 ok")
      })
    )
  })

  layer(ownService(daysOf("0")), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("keeps everything for ever when told 0 days", () =>
      Effect.gen(function* () {
        const { gone, keyed, runId, webhook } = yield* scene
        yield* age
        yield* sweptAfter(Date.now() / 1000 + 0.2)
        assert.lengthOf(yield* history(`run_id=${runId}`), 3)
        assert.lengthOf(yield* deliveriesOf(webhook), 3)
        assert.strictEqual((yield* send("/api/events", keyed)).headers["idempotency-replayed"], "true")
        assert.deepInclude(yield* read(agentPath(gone.aid)), { status: "deregistered" })
        const { entries } = yield* read<{ readonly entries: ReadonlyArray<unknown> }>("/api/audit")
        assert.isAbove(entries.length, 4)
      })
    )
  })
})
