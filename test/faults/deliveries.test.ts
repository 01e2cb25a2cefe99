import { randomInt, randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import { API_KEY, sqlOn, startOn } from "../support/service/Service.ts"
import { receiver, slowly } from "../support/webhooks/WebhookReceiver.ts"

const KILLS = 50
const EVENTS = 2000
const RESUMED_MS = 30_000

const settings = { WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8", LEASE_SECS: "2" }

const post = (url: string, path: string, body: unknown) =>
  Effect.map(sendTo({ url, apiKey: API_KEY }, path, { key: true, body }), (answer) => {
    assert.isBelow(answer.status, 300, answer.text)
    return answer.json<{ readonly id: string }>()
  })

describe("webhook deliveries", () => {
  it.live(
    `lose none of ${EVENTS} through ${KILLS} kills at random moments, and repeat only what was under way`,
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const sql = yield* sqlOn(databaseUrl)
          const { received, url: target } = yield* receiver(slowly(10))
          const ids = Array.from({ length: EVENTS }, () => randomUUID())
          const claimedAtKill = new Map<string, number>()

          for (let kill = 0; kill < KILLS; kill += 1) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { service, url } = yield* startOn(databaseUrl, settings)
                if (kill === 0) {
                  yield* post(url, "/api/webhooks", { url: target })
                  for (let sent = 0; sent < EVENTS; sent += 100) {
                    const events = ids.slice(sent, sent + 100).map((id) => ({ id, type: "tct.revoked" }))
                    yield* post(url, "/api/events", events)
                  }
                }
                const wanted = received.length + randomInt(1, 36)
                yield* eventually(
                  Effect.sync(() => received.length),
                  (n) => n >= wanted,
                  RESUMED_MS
                )
                yield* Effect.sleep(randomInt(0, 25))
                yield* service.kill
              })
            )
            const claimed = yield* sql<{ readonly id: string }>`
              select event_id as id from webhook_deliveries where claimed_by is not null`
            for (const { id } of claimed) claimedAtKill.set(id, (claimedAtKill.get(id) ?? 0) + 1)
          }

          yield* startOn(databaseUrl, settings)
          yield* eventually(
            sql<{ readonly n: number }>`
              select count(*)::int as n from webhook_deliveries where status = 'delivered'`,
            ([row]) => row?.n === EVENTS,
            RESUMED_MS
          )
          const times = new Map<string, number>()
          for (const { headers } of received) {
            const id = String(headers["webhook-id"])
            times.set(id, (times.get(id) ?? 0) + 1)
          }
          assert.sameMembers([...times.keys()], ids)
          for (const [id, n] of times)
            assert.isAtMost(n - 1, claimedAtKill.get(id) ?? 0, "repeated although it was not under way")
          // Eight attempts, and as many results that were not written down yet.
          assert.isAtMost(received.length - EVENTS, KILLS * 16)
          const pauses = received.map(({ at }, index) => at - (received[index - 1]?.at ?? at))
          assert.isBelow(Math.max(...pauses), RESUMED_MS)
        })
      ),
    600_000
  )
})
