import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { Disabling } from "../../../src/webhooks/Disabling.ts"
import { RemovedWebhooks } from "../../../src/webhooks/RemovedWebhooks.ts"
import { Subscriptions } from "../../../src/webhooks/Subscriptions.ts"
import { eventually } from "../../support/db/eventually.ts"
import { hold, waitingFor } from "../../support/db/hold.ts"
import { newEvent } from "../../support/events/report.ts"
import { operator, subscribe, WebhookSuite } from "../../support/webhooks/Webhooks.ts"

const fill = Effect.fnUntraced(function* (webhook: string, deliveries: number) {
  const { sql } = yield* Db
  yield* sql`
    insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, created_at)
    select gen_random_uuid(), ${webhook}::uuid, gen_random_uuid(), n, 'tct.revoked', '{}', 'pending', clock_timestamp()
    from generate_series(1, ${deliveries}::int) as n`
})

const countOf = Effect.fnUntraced(function* (webhook: string) {
  const { sql } = yield* Db
  const [row] = yield* sql<{ readonly n: number }>`
    select count(*)::int as n from webhook_deliveries where webhook_id = ${webhook}::uuid`
  return row?.n
})

const leftovers = Effect.gen(function* () {
  const { sql } = yield* Db
  const [row] = yield* sql<{ readonly n: number }>`
    select (select count(*) from webhook_removals)::int + (select count(*) from webhook_breakers)::int as n`
  return row?.n
})

const record = Effect.gen(function* () {
  const ingest = yield* Ingest
  const startedAt = Date.now()
  yield* ingest.record({ principal: system, receivedAt: startedAt }, [newEvent({ type: "tct.revoked" })])
  return Date.now() - startedAt
})

const clear = Effect.flatMap(RemovedWebhooks, ({ runOnce }) => runOnce)

layer(WebhookSuite, { timeout: "60 seconds", excludeTestServices: true })(
  "removal of a subscription",
  (it) => {
    it.effect("takes 20,000 deliveries away in batches while events are stored and delivered to others", () =>
      Effect.gen(function* () {
        const { remove } = yield* Subscriptions
        const [doomed, kept] = [yield* subscribe(), yield* subscribe()]
        yield* fill(doomed.id, 20_000)
        yield* fill(kept.id, 5)
        const { sql } = yield* Db
        yield* sql`insert into webhook_breakers (webhook_id, state) values (${doomed.id}::uuid, 'open')`

        const startedAt = Date.now()
        yield* remove(doomed.id, operator)
        assert.isBelow(Date.now() - startedAt, 1000)
        assert.strictEqual(yield* countOf(doomed.id), 20_000)

        const clearing = yield* Effect.forkChild(clear)
        const times: Array<number> = []
        while (clearing.pollUnsafe() === undefined) times.push(yield* record)
        assert.strictEqual(yield* Fiber.join(clearing), 20_000)
        assert.isAbove(times.length, 5)
        assert.isBelow(Math.max(...times), 1000)
        assert.strictEqual(yield* countOf(doomed.id), 0)
        assert.strictEqual(yield* countOf(kept.id), 5 + times.length)
        assert.strictEqual(yield* leftovers, 0)
      })
    )

    it.effect("passes over deliveries that somebody holds, and comes back for them", () =>
      Effect.gen(function* () {
        const { remove } = yield* Subscriptions
        const { id } = yield* subscribe()
        yield* fill(id, 3)
        yield* remove(id, operator)
        const { letGo } = yield* hold(
          (sql, schema) => sql`
          select from ${sql(schema)}.webhook_deliveries where webhook_id = ${id}::uuid order by event_seq limit 1 for update`
        )
        const clearing = yield* Effect.forkChild(clear)
        yield* eventually(countOf(id), (count) => count === 1)
        yield* letGo
        assert.strictEqual(yield* Fiber.join(clearing), 3)
        assert.strictEqual(yield* leftovers, 0)
      })
    )

    it.effect("and every other act wait for whoever holds the subscription, and nobody waits for them", () =>
      Effect.gen(function* () {
        const { remove, update } = yield* Subscriptions
        const { disable } = yield* Disabling
        const hooks = [yield* subscribe(), yield* subscribe(), yield* subscribe()] as const
        const { letGo } = yield* hold(
          (sql, schema) => sql`
          select from ${sql(schema)}.webhooks where id in ${sql.in(hooks.map(({ id }) => id))} for no key update`
        )
        const acts = yield* Effect.forkChild(
          Effect.all(
            [
              remove(hooks[0].id, operator),
              update(hooks[1].id, { active: false }, operator),
              disable(hooks[2], "gone")
            ],
            { concurrency: 3 }
          )
        )
        yield* eventually(waitingFor("(delete|update|disable)_webhook_v1"), (n) => n >= 3)
        assert.isBelow(yield* record, 1000)
        assert.isUndefined(acts.pollUnsafe())
        yield* letGo
        yield* Fiber.join(acts)
        yield* clear
      })
    )

    it.effect("is shared by those who clear at the same time, each delivery counted once", () =>
      Effect.gen(function* () {
        const { remove } = yield* Subscriptions
        for (let n = 0; n < 4; n += 1) {
          const { id } = yield* subscribe()
          yield* fill(id, 1500)
          yield* remove(id, operator)
        }
        const cleared = yield* Effect.all([clear, clear, clear], { concurrency: 3 })
        assert.strictEqual(
          cleared.reduce((sum, n) => sum + n, 0),
          6000
        )
        assert.strictEqual(yield* leftovers, 0)
        assert.strictEqual(yield* clear, 0)
      })
    )

    it.effect("leaves nothing behind of events that are stored at the same moment", () =>
      Effect.gen(function* () {
        const { sql } = yield* Db
        const { remove } = yield* Subscriptions
        for (let round = 0; round < 15; round += 1) {
          const { id } = yield* subscribe()
          yield* Effect.all([record, remove(id, operator), record], { concurrency: 3 })
          yield* clear
          assert.strictEqual(yield* countOf(id), 0)
        }
        const [orphans] = yield* sql<{ readonly n: number }>`
        select count(*)::int as n from webhook_deliveries d
        where not exists (select from webhooks w where w.id = d.webhook_id)`
        assert.strictEqual(orphans?.n, 0)
      })
    )
  }
)
