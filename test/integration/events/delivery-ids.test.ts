import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"

const SUBSCRIPTIONS = 60

const record = Effect.flatMap(Ingest, (ingest) =>
  ingest.record({ principal: system, receivedAt: Date.UTC(2026, 0, 2) }, [
    newEvent({ type: "agent.expired" }),
    newEvent({ type: "tct.revoked" })
  ])
)

layer(Ledger, { timeout: "60 seconds" })("deliveries of one event", (it) => {
  it.effect("have ids of their own, whatever Postgres knows of the subscriptions when it plans", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* record
      yield* sql`
        insert into webhooks (id, url, events, filter, secret_enc, key_id, secret_hint, active, created_at, updated_at)
        select gen_random_uuid(), 'https://receiver.example.com', '[]', '{}', ''::bytea, 'k', 'hint', true, now(), now()
        from generate_series(1, ${SUBSCRIPTIONS}::int)`
      yield* record
      yield* sql`analyze webhooks`
      yield* record
      const [found] = yield* sql`
        select count(*)::int as deliveries, count(distinct id)::int as ids,
          count(*) filter (where body::jsonb ->> 'deliveryId' = id::text)::int as named
        from webhook_deliveries`
      const expected = 4 * SUBSCRIPTIONS
      assert.deepEqual(found, { deliveries: expected, ids: expected, named: expected })
    })
  )
})
