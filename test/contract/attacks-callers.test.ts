import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { outcomeOf, read, send } from "../support/service/client.ts"
import { type EventRow, eventsOfRun, type Ingested } from "../support/service/events.ts"
import { API_KEY, isRemote, OTHER_KEY, ownService } from "../support/service/Service.ts"
import { RECEIVER, type WebhookPage, WEBHOOKS, type WebhookRow } from "../support/service/webhooks.ts"

const asCaller = (key: string, path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  send(path, { body, headers: { authorization: `Bearer ${key}`, ...headers } })

const reportAs = (key: string, items: ReadonlyArray<object>) =>
  Effect.map(asCaller(key, "/api/events", items), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json<Ingested>()
  })

describe.skipIf(isRemote)("one caller", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("learns nothing by guessing the Idempotency-Key of another, and takes nothing from it", () =>
      Effect.gen(function* () {
        const create = (key: string, name: string, url = RECEIVER) =>
          asCaller(key, WEBHOOKS, { url }, { "idempotency-key": name })
        const name = unique("guessed")
        const first = yield* create(API_KEY, name)
        assert.strictEqual(first.status, 201, first.text)
        const mine = first.json<WebhookRow & { secret: string }>()
        // the very same request under the same key, by another caller, is a request of its own
        const second = yield* create(OTHER_KEY, name)
        assert.strictEqual(second.status, 201, second.text)
        assert.notProperty(second.headers, "idempotency-replayed")
        assert.notInclude(second.text, mine.secret)
        assert.notStrictEqual(second.json<WebhookRow>().id, mine.id)
        // another request under it tells the caller as little
        assert.strictEqual((yield* create(OTHER_KEY, unique("fresh"), `${RECEIVER}/other`)).status, 201)
        // and who has no key, or a wrong one, is refused before it is looked at
        for (const key of ["", "wrong", `${API_KEY}x`]) {
          const stranger = yield* create(key, name)
          assert.strictEqual(outcomeOf(stranger), "401 INVALID_API_KEY")
          assert.notInclude(stranger.text, mine.secret)
        }
        const repeated = yield* create(API_KEY, name)
        assert.strictEqual(repeated.text, first.text)
        const { webhooks } = yield* read<WebhookPage>(WEBHOOKS)
        assert.strictEqual(webhooks.filter(({ id }) => id === mine.id).length, 1)
      })
    )

    it.effect("reports in its own name, whatever its events say", () =>
      Effect.gen(function* () {
        const run = unique("forged")
        yield* reportAs(API_KEY, [{ type: "mine", runId: run }])
        const [mine] = yield* eventsOfRun(run)
        yield* reportAs(OTHER_KEY, [
          {
            type: "forged",
            runId: run,
            reportedBy: mine?.reportedBy,
            reported_by: mine?.reportedBy,
            actorId: mine?.reportedBy,
            seq: 1,
            position: 1,
            createdAt: "2000-01-01T00:00:00Z",
            receivedAt: "2000-01-01T00:00:00Z",
            orgIds: [randomUUID()],
            org_ids: [randomUUID()],
            logId: "other",
            log_id: "other",
            agentId: randomUUID(),
            outcome: "verified",
            artifacts: [{ path: "/x", signatureVerified: true }],
            signatureVerified: true,
            source: "cp"
          }
        ])
        const [, forged] = yield* eventsOfRun(run)
        assert.isDefined(forged)
        assert.notStrictEqual(forged?.reportedBy, mine?.reportedBy)
        assert.strictEqual(forged?.source, "ingest:cp")
        assert.isNull(forged?.artifacts)
        assert.isAbove(forged?.seq ?? 0, mine?.seq ?? 0)
        assert.isAbove(Date.parse(forged?.createdAt ?? ""), Date.parse("2026-01-01"))
      })
    )

    it.effect("does not overwrite or hide the event of another by using its id", () =>
      Effect.gen(function* () {
        const [run, id] = [unique("taken"), randomUUID()]
        yield* reportAs(API_KEY, [{ id, type: "original", runId: run, payload: { balance: 1 } }])
        for (const spelling of [id, id.toUpperCase()]) {
          const answer = yield* reportAs(OTHER_KEY, [
            { id: spelling, type: "tct.revoked", runId: run, payload: { balance: 2, jti: randomUUID() } }
          ])
          assert.strictEqual(answer.inserted, 0)
        }
        const events = yield* eventsOfRun(run)
        assert.strictEqual(events.length, 1)
        const shown = yield* read<EventRow>(`/api/events/${id}`)
        assert.deepInclude(shown, { type: "original", payload: { balance: 1 } })
      })
    )

    it.effect("does not meet events of another under a name that both have chosen", () =>
      Effect.gen(function* () {
        const [run, id] = [unique("named"), "step-1"]
        for (const key of [API_KEY, OTHER_KEY]) {
          const answer = yield* reportAs(key, [{ id, type: "named", runId: run }])
          assert.strictEqual(answer.inserted, 1)
          assert.strictEqual(answer.duplicates, 0)
        }
        assert.strictEqual((yield* eventsOfRun(run)).length, 2)
      })
    )

    it.effect("puts an event into one namespace, the one that it names, and into no filter of another", () =>
      Effect.gen(function* () {
        const [theirs, own] = [unique("ns-theirs"), unique("ns-own")]
        for (const namespace of [
          `${own}\0${theirs}`,
          `${own},${theirs}`,
          [theirs],
          { name: theirs },
          `${theirs} `
        ]) {
          yield* reportAs(OTHER_KEY, [{ type: "injected", namespace, payload: { x: 1 } }])
        }
        yield* reportAs(OTHER_KEY, [{ type: "injected", namespace: own, payload: { namespace: theirs } }])
        const seen = yield* read<{ events: ReadonlyArray<unknown> }>(
          `/api/events/history?namespace=${theirs}`
        )
        assert.deepEqual(seen.events, [])
        const mine = yield* read<{ events: ReadonlyArray<unknown> }>(`/api/events/history?namespace=${own}`)
        assert.strictEqual(mine.events.length, 1)
      })
    )
  })
})
