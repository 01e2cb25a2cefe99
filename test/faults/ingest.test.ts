import { randomInt, randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import { API_KEY, sqlOn, startOn } from "../support/service/Service.ts"

const KILLS = 30
const REPORTERS = 8

/** One report: a session from start to end, and the token it led to. */
interface Report {
  readonly ids: ReadonlyArray<string>
  readonly sessionId: string
  readonly jti: string
  readonly body: ReadonlyArray<unknown>
}

const newReport = (): Report => {
  const ids = [randomUUID(), randomUUID(), randomUUID()]
  const [sessionId, jti] = [randomUUID(), randomUUID()]
  const common = { sessionId, aidA: "agent-a", aidB: "agent-b", ts: "2026-01-02T03:04:05.678Z" }
  const tct = { jti, iss: "agent-a", sub: "agent-b", aud: "agent-b", grants: ["demo.read"] }
  return {
    ids,
    sessionId,
    jti,
    body: [
      { id: ids[0], type: "handshake.started", ...common },
      { id: ids[1], type: "handshake.complete", ...common, payload: { boundary: "fault" } },
      { id: ids[2], type: "tct.issued", ...common, payload: { tct } }
    ]
  }
}

/** Reports once with the id of its first event as idempotency key; whether it was acknowledged. */
const post = (url: string, report: Report) =>
  sendTo({ url, apiKey: API_KEY }, "/api/events", {
    key: true,
    body: report.body,
    headers: { "idempotency-key": report.ids[0] ?? "" }
  }).pipe(
    Effect.map(({ status }) => status === 200),
    Effect.orElseSucceed(() => false)
  )

describe("ingest", () => {
  it.live(
    `keeps every acknowledged event exactly once, and its projections, through ${KILLS} kills at random moments`,
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const acknowledged = new Map<string, Report>()
          const inDoubt: Array<Report> = []
          const attempt = Effect.fnUntraced(function* (url: string, report: Report) {
            if (yield* post(url, report)) acknowledged.set(report.sessionId, report)
            else inDoubt.push(report)
          })

          for (let kill = 0; kill < KILLS; kill += 1) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { service, url } = yield* startOn(databaseUrl)
                // What was in doubt is sent again without its key, which the crash may have left reserved for a while.
                for (const report of inDoubt.splice(0))
                  yield* attempt(url, { ...report, ids: [randomUUID()] })
                const target = acknowledged.size + randomInt(1, 120)
                const killed = yield* Deferred.make<void>()
                const reporter = Effect.gen(function* () {
                  while (!(yield* Deferred.isDone(killed))) {
                    yield* attempt(url, newReport())
                    if (acknowledged.size >= target) yield* Deferred.succeed(killed, undefined)
                  }
                })
                const reporters = yield* Effect.forkChild(
                  Effect.forEach(Array.from({ length: REPORTERS }), () => reporter, {
                    concurrency: REPORTERS,
                    discard: true
                  })
                )
                yield* Deferred.await(killed)
                yield* service.kill
                yield* Fiber.join(reporters)
              })
            )
          }

          const sql = yield* sqlOn(databaseUrl)
          const events = yield* sql<{ readonly id: string; readonly seq: number }>`
            select id, seq::float8 as seq from audit_events where source <> 'cp' order by audit_events.seq`
          const stored = new Set(events.map(({ id }) => id))
          assert.strictEqual(stored.size, events.length, "stored twice")
          const [head] = yield* sql<{ readonly n: number; readonly head: number }>`
            select (select count(*) from audit_events)::int as n, (select seq from log_head)::int as head`
          assert.strictEqual(head?.n, head?.head, "a hole")
          const complete = yield* sql<{ readonly id: string }>`
            select session_id as id from handshake_sessions where status = 'complete'`
          const sessions = new Set(complete.map(({ id }) => id))
          const tcts = new Set(
            (yield* sql<{ readonly id: string }>`select jti as id from issued_tcts`).map(({ id }) => id)
          )
          assert.isAtLeast(acknowledged.size, KILLS)
          for (const { body, jti, sessionId } of acknowledged.values()) {
            for (const { id } of body as ReadonlyArray<{ readonly id: string }>)
              assert.isTrue(stored.has(id), "lost")
            assert.isTrue(sessions.has(sessionId), "its session is missing")
            assert.isTrue(tcts.has(jti), "its token is missing")
          }
          // Nothing in doubt was stored by halves.
          for (const { body } of inDoubt) {
            const halves = new Set(
              (body as ReadonlyArray<{ readonly id: string }>).map(({ id }) => stored.has(id))
            )
            assert.strictEqual(halves.size, 1)
          }
        })
      ),
    300_000
  )
})
