import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { agentPath, joined } from "../support/service/agents.ts"
import { read, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { revoke } from "../support/service/revocations.ts"
import { anyService, sqlOn, startOn } from "../support/service/Service.ts"

interface Entry {
  readonly id: string
  readonly action: string
  readonly actorId: string
  readonly targetId: string | null
  readonly details: Readonly<Record<string, unknown>>
  readonly requestId: string | null
  readonly createdAt: string
}
interface Page {
  readonly entries: ReadonlyArray<Entry>
  readonly count: number
  readonly nextCursor: string | null
}

const audit = (query: Readonly<Record<string, string>>) =>
  read<Page>(`/api/audit?${new URLSearchParams(query).toString()}`)

/** An agent that was registered and then taken out three times, the last two without effect. */
const audited = Effect.gen(function* () {
  const { aid } = yield* joined()
  for (const request of ["first", "second", "third"]) {
    const answer = yield* send(agentPath(aid), {
      method: "DELETE",
      key: true,
      headers: { "x-request-id": `audit-${request}` }
    })
    assert.isBelow(answer.status, 300, answer.text)
  }
  return aid
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("the admin audit", (it) => {
  it.effect("names action, actor, target, request and details of every act, newest first", () =>
    Effect.gen(function* () {
      const aid = yield* audited
      const { count, entries, nextCursor } = yield* audit({ target_id: aid })
      assert.deepEqual([count, nextCursor], [4, null])
      assert.deepEqual(
        entries.map(({ action }) => action),
        ["agent.deregister", "agent.deregister", "agent.deregister", "agent.register"]
      )
      assert.deepEqual(
        entries.slice(0, 3).map(({ requestId }) => requestId),
        ["audit-third", "audit-second", "audit-first"]
      )
      assert.deepEqual(
        entries.slice(0, 3).map(({ details }) => details),
        [{ noop: true }, { noop: true }, {}]
      )
      for (const entry of entries) {
        assert.deepEqual(Object.keys(entry).toSorted(), [
          "action",
          "actorId",
          "createdAt",
          "details",
          "id",
          "requestId",
          "targetId"
        ])
        assert.strictEqual(entry.targetId, aid)
        assert.match(entry.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.match(entry.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
      }
      assert.match(entries[0]?.actorId ?? "", /^apikey:[0-9a-f]{16}$/)
      assert.strictEqual(entries[0]?.actorId, entries[1]?.actorId)
    })
  )

  it.effect("has a revocation with its reason, once", () =>
    Effect.gen(function* () {
      const { jti } = yield* revoke({ reason: "left" })
      yield* revoke({ jti, reason: "again" })
      const { entries } = yield* audit({ action: "revocation.add", targetId: jti })
      assert.deepEqual(entries[0]?.details, { reason: "left" })
      assert.lengthOf(entries, 1)
    })
  )

  it.effect("finds by action, actor, target and time, in both spellings", () =>
    Effect.gen(function* () {
      const aid = yield* audited
      const { entries } = yield* audit({ targetId: aid })
      const [newest] = entries
      const oldest = entries.at(-1)
      assert(newest !== undefined && oldest !== undefined)
      const idsOf = (page: Page) => page.entries.map(({ id }) => id)
      const found = (query: Readonly<Record<string, string>>) =>
        Effect.map(audit({ target_id: aid, ...query }), idsOf)
      assert.deepEqual(yield* found({ action: "agent.register" }), [oldest.id])
      assert.deepEqual(yield* found({ action: "agent" }), [])
      for (const name of ["actor_id", "actorId"]) {
        assert.notInclude(yield* found({ [name]: newest.actorId }), oldest.id)
        assert.include(yield* found({ [name]: newest.actorId }), newest.id)
      }
      assert.deepEqual(yield* found({ until: oldest.createdAt }), [oldest.id])
      assert.include(yield* found({ since: newest.createdAt }), newest.id)
      assert.notInclude(yield* found({ since: newest.createdAt }), oldest.id)
    })
  )

  it.effect("is walked by cursor without a gap", () =>
    Effect.gen(function* () {
      const aid = yield* audited
      const whole = yield* audit({ target_id: aid })
      const walked: Array<string> = []
      let cursor: string | null = null
      do {
        const page: Page = yield* audit({
          target_id: aid,
          limit: "1",
          ...(cursor === null ? {} : { cursor })
        })
        walked.push(...page.entries.map(({ id }) => id))
        cursor = page.nextCursor
      } while (cursor !== null)
      assert.deepEqual(
        walked,
        whole.entries.map(({ id }) => id)
      )
      const offset = yield* audit({ target_id: aid, limit: "2", offset: "1" })
      assert.deepEqual(
        offset.entries.map(({ id }) => id),
        walked.slice(1, 3)
      )
    })
  )

  it.effect("refuses strangers, foreign cursors and times that are none", () =>
    Effect.gen(function* () {
      assertRefused(yield* send("/api/audit"), 401, "INVALID_API_KEY")
      assertRefused(yield* send("/api/audit?cursor=x", { key: true }), 400, "CURSOR_INVALID")
      assertRefused(yield* send("/api/audit?since=yesterday", { key: true }), 400, "BAD_REQUEST")
    })
  )
})

layer(Layer.empty, { timeout: "60 seconds", excludeTestServices: true })("refused credentials", (it) => {
  it.effect("are one entry of the audit with how many there were, at the latest when the service stops", () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const { apiKey, service, url } = yield* startOn(databaseUrl)
      const wrong = { authorization: "Bearer not-a-key-of-this-service" }
      for (let count = 0; count < 5; count += 1) {
        const answer = yield* sendTo({ url, apiKey }, "/api/audit", { headers: wrong })
        assert.strictEqual(answer.status, 401)
      }
      assert.strictEqual((yield* sendTo({ url, apiKey }, "/api/audit", { key: true })).status, 200)
      yield* service.stop
      const sql = yield* sqlOn(databaseUrl)
      const entries = yield* sql<{ readonly actorId: string; readonly details: unknown }>`
        select actor_id as "actorId", details from admin_audit_log where action = 'auth.refused'`
      assert.strictEqual(entries.length, 1)
      assert.strictEqual(entries[0]?.actorId, "system")
      assert.deepInclude(entries[0]?.details, { count: 5, addresses: { "127.0.0.1": 5 } })
      assert.notInclude(JSON.stringify(entries), "not-a-key")
    })
  )
})
