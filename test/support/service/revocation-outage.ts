import { randomUUID } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../db/eventually.ts"
import { dataFolder, startOwner } from "../db/owners.ts"
import { sendTo } from "./client.ts"
import { ENTRIES, LIST, listOf, type Revoked } from "./revocations.ts"
import { startOn } from "./Service.ts"

/**
 * Two replicas whose database is stopped for so long, while their lists are fetched: they serve the same bytes, then
 * revocations again, in a list that lacks nothing.
 */
export const outage = Effect.fnUntraced(function* (awayMs: number) {
  const folder = yield* dataFolder
  const owner = yield* startOwner(folder)
  const { url: databaseUrl } = yield* owner.started
  const replicas = [yield* startOn(databaseUrl), yield* startOn(databaseUrl)] as const
  const [first, second] = replicas
  const revoke = (replica: { readonly url: string; readonly apiKey: string }) =>
    sendTo(replica, ENTRIES, { key: true, body: { jti: randomUUID() } })
  const before = (yield* revoke(first)).json<Revoked>()
  yield* eventually(sendTo(second, LIST), ({ text }) => text.includes(before.jti))

  yield* owner.kill("SIGTERM")
  yield* owner.ended
  const { text } = yield* sendTo(first, LIST)
  const begun = performance.now()
  const slowest = { ms: 0 }
  let fetched = 0
  while (performance.now() - begun < awayMs) {
    for (const replica of replicas) {
      const asked = performance.now()
      const answer = yield* sendTo(replica, LIST)
      slowest.ms = Math.max(slowest.ms, performance.now() - asked)
      assert.strictEqual(answer.status, 200, answer.text)
      assert.strictEqual(answer.text, text)
      fetched += 1
    }
    assert.strictEqual((yield* revoke(first)).status, 503)
    yield* Effect.sleep("50 millis")
  }
  // a stopped server refuses at once, so nobody waits for it
  assert.isBelow(slowest.ms, 2500)

  yield* (yield* startOwner(folder)).started
  const revoked = yield* eventually(revoke(second), ({ status }) => status === 201)
  const { jti, listVersion } = revoked.json<Revoked>()
  assert.isNotNull(listVersion)
  for (const replica of replicas) {
    // One that has heard of a newer list, and lost the connection before it had it, serves none until it has.
    yield* eventually(sendTo(replica, LIST), ({ text }) => text.includes(jti))
    const { entries } = yield* listOf(replica)
    assert.isDefined(entries.find((entry) => entry.jti === before.jti))
  }
  console.log(
    `database away for ${awayMs} ms: ${fetched} lists fetched, all the same bytes, slowest ${Math.round(slowest.ms)} ms`
  )
}, Effect.scoped)
