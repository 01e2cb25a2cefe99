import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { Breakers } from "../../../src/deliveries/Breakers.ts"
import { FailingEndpoints } from "../../../src/deliveries/FailingEndpoints.ts"
import { subscribe, WebhookSuite } from "../../support/webhooks/Webhooks.ts"

const Suite = FailingEndpoints.layer.pipe(Layer.provide(Breakers.layer), Layer.provideMerge(WebhookSuite))

const failed = Effect.fnUntraced(function* (webhook: string, sinceHours: number) {
  const { sql } = yield* Db
  yield* sql`
    insert into webhook_breakers (webhook_id, state, failing_since, last_failed_at)
    values (${webhook}::uuid, 'open', now() - make_interval(hours => ${sinceHours}::int), now())`
})

layer(Suite, { timeout: "60 seconds" })("endpoints that only fail", (it) => {
  it.effect("lose their subscription after five days, once, however many replicas look", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { runOnce } = yield* FailingEndpoints
      const [dead, ill] = [yield* subscribe(), yield* subscribe()]
      yield* failed(dead.id, 121)
      yield* failed(ill.id, 119)
      const counts = yield* Effect.all([runOnce, runOnce, runOnce], { concurrency: 3 })
      assert.strictEqual(
        counts.reduce((sum, n) => sum + n, 0),
        1
      )
      const rows = yield* sql<{
        readonly id: string
        readonly active: boolean
        readonly reason: string | null
      }>`
        select id, active, disabled_reason as reason from webhooks where id = any(${[dead.id, ill.id]}::uuid[])`
      assert.sameDeepMembers(
        [...rows],
        [
          { id: dead.id, active: false, reason: "failing" },
          { id: ill.id, active: true, reason: null }
        ]
      )
      const [said] = yield* sql<{ readonly events: number; readonly audits: number }>`
        select
          (select count(*)::int from audit_events
           where type = 'webhook.disabled' and payload::jsonb ->> 'webhookId' = ${dead.id}) as events,
          (select count(*)::int from admin_audit_log
           where action = 'webhook.auto-disable' and target_id = ${dead.id} and actor_id = 'system') as audits`
      assert.deepEqual(said, { events: 1, audits: 1 })
    })
  )
})
