import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { kinds, type RedisServer, redisServer } from "../support/redis/RedisServer.ts"
import { type Answer, sendTo } from "../support/service/client.ts"
import { startOn } from "../support/service/Service.ts"
import { Proxy } from "../support/stream/Proxy.ts"
import { metric } from "../support/stream/report.ts"
import type { Endpoint } from "../support/stream/subscriber.ts"

const LIMIT = 200

let clients = 0
const newClient = () => `2001:db8:${(clients += 1).toString(16)}::1`

const ask = (replica: Endpoint, client: string): Effect.Effect<Answer> =>
  Effect.orDie(sendTo(replica, "/api/well-known/aitp-manifest", { headers: { "x-client": client } }))

const leftAt = (replica: Endpoint, client: string) =>
  Effect.map(ask(replica, client), ({ headers }) => Number(headers["x-ratelimit-remaining"]))

const replicasOn = (redis: RedisServer) =>
  Effect.gen(function* () {
    const databaseUrl = yield* freshDatabase
    const environment = {
      RATE_LIMIT_ENABLED: "true",
      RATE_LIMIT_PUBLIC_PER_IP_MIN: String(LIMIT),
      CLIENT_IP_HEADER: "x-client",
      REDIS_URL: redis.url
    }
    return [yield* startOn(databaseUrl, environment), yield* startOn(databaseUrl, environment)] as const
  })

/** Waits until a request to one replica is counted at the other. */
const untilShared = (replicas: readonly [Endpoint, Endpoint]) =>
  eventually(
    Effect.suspend(() => {
      const client = newClient()
      return Effect.all([leftAt(replicas[0], client), leftAt(replicas[1], client)])
    }),
    ([first, second]) => first === LIMIT - 1 && second === LIMIT - 2
  )

const errorsAt = (replicas: ReadonlyArray<Endpoint>) =>
  Effect.forEach(replicas, (replica) => metric(replica, "rate_limit_store_errors_total"))

/** Asks both replicas twice as often as a new client may. */
const exceedLimit = (replicas: readonly [Endpoint, Endpoint]) =>
  Effect.suspend(() => {
    const client = newClient()
    return Effect.map(
      Effect.forEach(
        Array.from({ length: LIMIT * 2 }, (_, i) => replicas[i % 2 === 0 ? 0 : 1]),
        (replica) => ask(replica, client),
        { concurrency: 16 }
      ),
      (answers) => ({ answers, client })
    )
  })

/** Does it again when a replica lost Redis meanwhile, as it does on a machine too busy to answer in time. */
const undisturbed = <A>(replicas: ReadonlyArray<Endpoint>, act: Effect.Effect<A>): Effect.Effect<A> =>
  eventually(
    Effect.gen(function* () {
      const before = yield* errorsAt(replicas)
      const result = yield* act
      return { result, calm: String(before) === String(yield* errorsAt(replicas)) }
    }),
    ({ calm }) => calm
  ).pipe(Effect.map(({ result }) => result))

for (const [name, launch] of kinds) {
  describe(`two replicas on ${name}`, () => {
    it.live(
      "enforce one limit together, each its own while Redis is dead, and one again",
      () =>
        Effect.gen(function* () {
          const redis = yield* redisServer(launch)
          const replicas = yield* replicasOn(redis)
          yield* untilShared(replicas)

          // contract §4: N replicas enforce one limit, within a tenth
          const { answers, client } = yield* undisturbed(replicas, exceedLimit(replicas))
          const admitted = answers.filter(({ status }) => status === 200).length
          assert.isAtLeast(admitted, LIMIT * 0.9)
          assert.isAtMost(admitted, LIMIT * 1.1)
          assert.strictEqual(answers.filter(({ status }) => status === 429).length, LIMIT * 2 - admitted)
          const resets = answers.map(({ headers }) => Number(headers["x-ratelimit-reset"]))
          assert.isAtMost(Math.max(...resets) - Math.min(...resets), 1)

          // Redis dies under load: nobody notices but the counts
          const seen: Array<{ readonly status: number; readonly ms: number }> = []
          const load = yield* Effect.forkChild(
            Effect.forever(
              Effect.gen(function* () {
                const startedAt = performance.now()
                const { status } = yield* ask(replicas[seen.length % 2 === 0 ? 0 : 1], newClient())
                seen.push({ status, ms: performance.now() - startedAt })
              })
            )
          )
          yield* redis.kill
          const before = yield* errorsAt(replicas)
          yield* eventually(errorsAt(replicas), (errors) =>
            errors.every((count, index) => count >= (before[index] ?? 0) + 2)
          )
          yield* Fiber.interrupt(load)
          assert.deepEqual([...new Set(seen.map(({ status }) => status))], [200])
          const slow = seen.filter(({ ms }) => ms > 1000) // one in a hundred would be a pattern
          assert.isAtMost(slow.length, seen.length / 100)

          // used up before, and still; a new client has a limit at each
          for (const replica of replicas) {
            assert.strictEqual((yield* ask(replica, client)).status, 429)
            assert.match(replica.service.log(), /each replica counts rate limits for itself/)
          }
          const lonely = newClient()
          assert.strictEqual(yield* leftAt(replicas[0], lonely), LIMIT - 1)
          assert.strictEqual(yield* leftAt(replicas[1], lonely), LIMIT - 1)

          yield* redis.restart
          yield* untilShared(replicas)
          for (const { service } of replicas) {
            // in turns, however often the connection was tried meanwhile
            const said = service.log().match(/counts rate limits for itself|limits are shared by all/g) ?? []
            assert.isAtLeast(said.length, 2)
            for (const [index, words] of said.entries())
              assert.match(words, index % 2 === 0 ? /itself/ : /shared/)
          }
        }),
      60_000
    )
  })
}

it.live("a replica starts, answers and stops while Redis takes its connections and says nothing", () =>
  Effect.gen(function* () {
    const [[, launch]] = kinds
    const proxy = yield* Proxy.make(new URL((yield* redisServer(launch)).url))
    proxy.silent = true
    const replica = yield* startOn(yield* freshDatabase, {
      RATE_LIMIT_ENABLED: "true",
      REDIS_URL: `redis://127.0.0.1:${proxy.port}`
    })
    assert.strictEqual((yield* ask(replica, newClient())).status, 200)
    assert.isAtLeast(proxy.connections, 1)
    assert.strictEqual((yield* replica.service.stop).code, 0)
  })
)
