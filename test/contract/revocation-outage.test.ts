import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { dataFolder, startOwner } from "../support/db/owners.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { ENTRIES, LIST, listOf, type Revoked } from "../support/service/revocations.ts"
import { startOn } from "../support/service/Service.ts"
import { Proxy } from "../support/stream/Proxy.ts"
import { outage } from "../support/service/revocation-outage.ts"

/** How long the database is away, ms; two minutes among the fault tests. */
const AWAY_MS = 5000
/** How old a list one of the replicas may serve then, s. */
const STALE_SECS = 10

describe("while the database is away", () => {
  it.live(
    "without a word, nobody waits for it longer than two seconds, and after that not at all",
    () =>
      Effect.gen(function* () {
        const target = new URL(yield* freshDatabase)
        const proxy = yield* Proxy.make(target)
        const through = new URL(target)
        through.hostname = "127.0.0.1"
        through.port = String(proxy.port)
        const replica = yield* startOn(through.href)
        const direct = yield* startOn(target.href)
        const jti = randomUUID()
        yield* sendTo(direct, ENTRIES, { key: true, body: { jti } })
        const { entries } = yield* eventually(listOf(replica), (list) => list.entries.length === 1)

        proxy.silent = true
        const waits: Array<number> = []
        for (let n = 0; n < 25; n += 1) {
          const begun = performance.now()
          assert.deepEqual((yield* listOf(replica)).entries, entries)
          waits.push(performance.now() - begun)
          yield* Effect.sleep("100 millis")
        }
        assert.isBelow(Math.max(...waits), 2500)
        assert.isAtMost(waits.filter((ms) => ms > 500).length, 1, waits.map(Math.round).join(" "))

        proxy.silent = false
        const next = (yield* sendTo(direct, ENTRIES, {
          key: true,
          body: { jti: randomUUID() }
        })).json<Revoked>()
        yield* eventually(
          listOf(replica),
          (list) => list.entries.some((entry) => entry.jti === next.jti),
          40_000
        )
      }).pipe(Effect.scoped),
    90_000
  )

  it.live("the list is served unchanged, and goes on when it is back", () => outage(AWAY_MS), 90_000)

  it.live(
    "no list is served by who shall not serve an old one, or has none young enough",
    () =>
      Effect.gen(function* () {
        const folder = yield* dataFolder
        const owner = yield* startOwner(folder)
        const { url: databaseUrl } = yield* owner.started
        const closed = yield* startOn(databaseUrl, { REVOCATION_FAIL_MODE: "fail_closed" })
        const strict = yield* startOn(databaseUrl, { REVOCATION_MAX_STALENESS_SECS: String(STALE_SECS) })
        for (const replica of [closed, strict]) yield* listOf(replica)
        const jti = randomUUID()
        yield* sendTo(closed, ENTRIES, { key: true, body: { jti } })
        const list = yield* eventually(listOf(strict), ({ entries }) => entries.length === 1)

        yield* owner.kill("SIGTERM")
        yield* owner.ended
        const refused = yield* eventually(sendTo(closed, LIST), ({ status }) => status !== 200, 3000)
        assertRefused(refused, 503, "REVOCATION_UNAVAILABLE")
        assert.strictEqual(refused.headers["retry-after"], "30")
        // the other one has a copy of the newest list, for as long as it may use it
        assert.deepEqual(yield* listOf(strict), list)
        const late = yield* eventually(sendTo(strict, LIST), ({ status }) => status !== 200)
        assertRefused(late, 503, "REVOCATION_UNAVAILABLE")
        assert.isAtLeast(Date.now() / 1000, list.published_at + STALE_SECS)
        assert.strictEqual(
          (yield* sendTo(closed, ENTRIES, { key: true, body: { jti: randomUUID() } })).status,
          503
        )

        yield* (yield* startOwner(folder)).started
        for (const replica of [closed, strict]) {
          yield* eventually(sendTo(replica, LIST), ({ status }) => status === 200, 20_000)
          assert.isDefined((yield* listOf(replica)).entries.find((entry) => entry.jti === jti))
        }
      }).pipe(Effect.scoped),
    90_000
  )
})
