import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Disabling } from "../../../src/webhooks/Disabling.ts"
import type { Webhook } from "../../../src/webhooks/model.ts"
import { Subscriptions } from "../../../src/webhooks/Subscriptions.ts"
import { Webhooks } from "../../../src/webhooks/Webhooks.ts"
import { operator, subscribe, WebhookSuite } from "../../support/webhooks/Webhooks.ts"

const find = (id: string) =>
  Effect.gen(function* () {
    const found = yield* (yield* Webhooks).findById(id, visibleToAll)
    return Option.getOrThrow(found)
  })

const disable = (target: Pick<Webhook, "id" | "url">, reason: "failing" | "gone" = "failing") =>
  Effect.flatMap(Disabling, (disabling) => disabling.disable(target, reason))

/** Payloads of the events about a subscription, and details of what the audit says was done by the service itself. */
const saidOf = Effect.fnUntraced(function* (id: string) {
  const { sql } = yield* Db
  const events = yield* sql<{ readonly payload: string }>`
    select payload from audit_events where type = 'webhook.disabled' and payload::jsonb ->> 'webhookId' = ${id} order by seq`
  const acts = yield* sql<{ readonly details: unknown }>`
    select details from admin_audit_log
    where target_id = ${id} and action = 'webhook.auto-disable' and actor_id = 'system' order by id`
  return {
    events: events.map(({ payload }): unknown => JSON.parse(payload)),
    acts: acts.map(({ details }) => details)
  }
})

layer(WebhookSuite, { timeout: "60 seconds", excludeTestServices: true })(
  "disabling by the service",
  (it) => {
    it.effect("happens once, however many ask for it, with its event and audit row", () =>
      Effect.gen(function* () {
        const webhook = yield* subscribe()
        const answers = yield* Effect.all(
          Array.from({ length: 8 }, () => disable(webhook)),
          { concurrency: 8 }
        )
        assert.deepEqual(answers.toSorted(), [false, false, false, false, false, false, false, true])
        const now = yield* find(webhook.id)
        assert.deepInclude(now, { active: false, disabledReason: "failing" })
        assert.isNotNull(now.disabledAt)
        assert.isAtLeast(now.updatedAt.getTime(), webhook.updatedAt.getTime())
        const { id: webhookId, url } = webhook
        assert.deepEqual(yield* saidOf(webhook.id), {
          events: [{ webhookId, url, reason: "failing" }],
          acts: [{ url, reason: "failing" }]
        })
      })
    )

    it.effect("tells those who subscribed to it by name, but not the one that it is about", () =>
      Effect.gen(function* () {
        const { sql } = yield* Db
        const events = ["webhook.disabled"]
        const [failing, watching] = [yield* subscribe({ events }), yield* subscribe({ events })]
        assert.isTrue(yield* disable(failing, "gone"))
        const rows = yield* sql<{ readonly webhookId: string }>`
        select webhook_id from webhook_deliveries where webhook_id in (${failing.id}::uuid, ${watching.id}::uuid)`
        assert.deepEqual(
          rows.map(({ webhookId }) => webhookId),
          [watching.id]
        )
      })
    )

    it.effect("leaves alone what is gone, inactive, or has another URL by now", () =>
      Effect.gen(function* () {
        const subscriptions = yield* Subscriptions
        const [gone, inactive, moved] = [
          yield* subscribe(),
          yield* subscribe({ active: false }),
          yield* subscribe()
        ]
        yield* subscriptions.remove(gone.id, operator)
        yield* subscriptions.update(moved.id, { url: "https://elsewhere.example.com/" }, operator)
        for (const webhook of [gone, inactive, moved]) {
          assert.isFalse(yield* disable(webhook))
          assert.deepEqual(yield* saidOf(webhook.id), { events: [], acts: [] })
        }
        assert.isTrue((yield* find(moved.id)).active)
        assert.isNull((yield* find(inactive.id)).disabledAt)
      })
    )

    it.effect(
      "is forgotten when an operator activates the subscription, which starts with a closed breaker",
      () =>
        Effect.gen(function* () {
          const { sql } = yield* Db
          const { update } = yield* Subscriptions
          const webhook = yield* subscribe()
          yield* sql`
        insert into webhook_breakers (webhook_id, state, failures, failing_since)
        values (${webhook.id}::uuid, 'open', 9, clock_timestamp() - interval '9 days')`
          assert.strictEqual((yield* find(webhook.id)).breaker, "open")
          yield* disable(webhook)
          // what else is changed meanwhile neither activates it nor hides why it is not active
          const renamed = yield* update(webhook.id, { events: ["tct.revoked"], active: false }, operator)
          assert.deepInclude(renamed, { active: false, disabledReason: "failing", breaker: "open" })
          const again = yield* update(webhook.id, { active: true }, operator)
          assert.deepInclude(again, {
            active: true,
            disabledAt: null,
            disabledReason: null,
            breaker: "closed"
          })
          assert.isTrue(yield* disable(webhook))
        })
    )
  }
)
