import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { type AgentPage, agentPath, joined, nowSecs, unique } from "../support/service/agents.ts"
import { sendTo } from "../support/service/client.ts"
import { Service, sqlOn, startOn } from "../support/service/Service.ts"

/** Answers of the registry are kept rendered: they must not outlive what they show. */

/** A replica of which nothing but the registry is asked. */
type Replica = Effect.Success<ReturnType<typeof startOn>>

const found = (replica: Replica, capability: string) =>
  Effect.map(sendTo(replica, `/api/registry/agents?capability=${capability}`), (answer) =>
    answer.json<AgentPage>().agents.map(({ aid }) => aid)
  )

const manifestOf = (replica: Replica, aid: string) =>
  Effect.map(sendTo(replica, agentPath(aid, "/manifest")), ({ status }) => status)

const CALLERS = 8
const ROUNDS = 10

it.live(
  "two replicas show a registration and its end: the one that was asked at once, the other one soon",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const [here, there] = [yield* startOn(databaseUrl), yield* startOn(databaseUrl)]
      const capability = unique("cap")
      const caller = Effect.gen(function* () {
        for (let round = 0; round < ROUNDS; round += 1) {
          yield* Effect.all([found(here, capability), found(there, capability)])
          const { aid } = yield* joined({ offered_capabilities: [capability] })
          assert.include(yield* found(here, capability), aid)
          assert.strictEqual(yield* manifestOf(here, aid), 200)
          yield* eventually(found(there, capability), (aids) => aids.includes(aid), 5000)
          const gone = yield* sendTo(here, agentPath(aid), { method: "DELETE", key: true })
          assert.strictEqual(gone.status, 200)
          assert.notInclude(yield* found(here, capability), aid)
          assert.strictEqual(yield* manifestOf(here, aid), 410)
          yield* eventually(manifestOf(there, aid), (status) => status === 410, 5000)
        }
      }).pipe(Effect.provideService(Service, here))
      yield* Effect.all(
        Array.from({ length: CALLERS }, () => caller),
        { concurrency: "unbounded", discard: true }
      )
      assert.deepEqual(yield* found(here, capability), [])
    }).pipe(Effect.scoped),
  120_000
)

it.live(
  "an agent is no longer shown as active from the second its manifest expires",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const replica = yield* startOn(databaseUrl)
      const capability = unique("cap")
      const { aid } = yield* joined({ offered_capabilities: [capability] }).pipe(
        Effect.provideService(Service, replica)
      )
      const expiresAt = nowSecs() + 3
      const sql = yield* sqlOn(databaseUrl)
      yield* sql`
        update agents set manifest_expires_at = to_timestamp(${expiresAt}::float8) where aid = ${aid}`
      let shownLast = 0
      yield* eventually(
        Effect.tap(found(replica, capability), (aids) =>
          Effect.sync(() => {
            if (aids.includes(aid)) shownLast = Date.now()
          })
        ),
        (aids) => !aids.includes(aid),
        20_000
      )
      assert.isBelow(shownLast, expiresAt * 1000 + 100)
      assert.isAbove(shownLast, 0)
    }).pipe(Effect.scoped),
  60_000
)
