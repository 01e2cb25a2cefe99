import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Random, type Scope } from "effect"
import { FaultProxy } from "../../support/faults/FaultProxy.ts"
import type { Postgres } from "../../support/faults/Postgres.ts"
import { Replica } from "../../support/faults/Replica.ts"
import { kinds, type RedisServer, redisServer } from "../../support/redis/RedisServer.ts"
import { type Answer, type Options, sendTo } from "../../support/service/client.ts"
import { API_KEY, OTHER_KEY } from "../../support/service/Service.ts"
import { Journal } from "./Journal.ts"
import { Receivers } from "./Receivers.ts"
import { LEASE_SECS } from "./schedule.ts"

/** A client gives up on an answer after so long. */
const PATIENCE_MS = 5000

const secretsOfTests = {
  CP_AID_SEED_HEX: "a7".repeat(32),
  ENROLLMENT_SECRET: "enrollment-secret-of-the-seeded-faults",
  METRICS_TOKEN: "metrics-token-of-the-seeded-faults"
}

const settings = {
  ...secretsOfTests,
  LEASE_SECS: String(LEASE_SECS),
  SHUTDOWN_DRAIN_MS: "2500",
  EXPIRY_SWEEP_INTERVAL_MS: "1000",
  RETENTION_INTERVAL_MS: "1500",
  SSE_HEARTBEAT_MS: "1000",
  WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8",
  WEBHOOK_TIMEOUT_MS: "1500",
  WEBHOOK_RETRY_SCHEDULE: "1",
  WEBHOOK_RETRY_ATTEMPTS: "1000",
  WEBHOOK_BREAKER_RESET_MS: "700",
  // The limiter counts every request, in Redis, and refuses none.
  RATE_LIMIT_ENABLED: "true",
  RATE_LIMIT_ENROLLMENT_PER_IP_MIN: "1000000",
  RATE_LIMIT_PUBLIC_PER_IP_MIN: "1000000",
  RATE_LIMIT_API_KEY_PER_MIN: "1000000"
}

/** Everything of one run: replicas, the links to their database, what else they talk to, and what was seen. */
export interface World {
  readonly journal: Journal
  /** Adds a line to the account of the run. */
  readonly tell: (line: string) => void
  readonly postgres: Postgres
  /** Straight to the server. */
  readonly databaseUrl: string
  readonly links: ReadonlyArray<FaultProxy>
  readonly replicas: ReadonlyArray<Replica>
  readonly redis: RedisServer
  readonly receivers: Receivers
  /** True once clients shall end. */
  readonly over: { now: boolean }
}

export const makeWorld = (
  seed: number,
  postgres: Postgres,
  count: number,
  tell: (line: string) => void
): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const journal = new Journal()
    const databaseUrl = yield* postgres.database(`run_${process.pid}_${seed}`)
    const redis = yield* redisServer((kinds.at(-1) ?? kinds[0])[1])
    const receivers = yield* Receivers.make
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "faults-run-"))),
      (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
    )
    const links: Array<FaultProxy> = []
    const replicas: Array<Replica> = []
    for (let name = 0; name < count; name += 1) {
      const link = yield* FaultProxy.make(postgres)
      const url = new URL(databaseUrl)
      url.port = String(link.port)
      links.push(link)
      replicas.push(
        yield* Replica.make(name, join(folder, String(name)), {
          ...settings,
          DATABASE_URL: url.href,
          REDIS_URL: redis.url
        })
      )
    }
    const { password } = new URL(databaseUrl)
    for (const secret of [...Object.values(secretsOfTests), API_KEY, OTHER_KEY, password])
      journal.secrets.add(secret)
    return { journal, tell, postgres, databaseUrl, links, replicas, redis, receivers, over: { now: false } }
  })

/** One of the replicas. */
export const anyReplica = ({ replicas }: World): Effect.Effect<Replica> =>
  Effect.map(Random.nextIntBetween(0, replicas.length - 1), (index) => replicas[index] as Replica)

/** An answer, or undefined when none came: the client does not know what has happened. */
export const ask = (
  { journal }: World,
  replica: Replica,
  path: string,
  options: Options
): Effect.Effect<Answer | undefined> =>
  sendTo(replica, path, options).pipe(
    Effect.timeout(PATIENCE_MS),
    Effect.orElseSucceed(() => undefined),
    Effect.tap((answer) =>
      Effect.sync(() => {
        const route = `${options.method ?? (options.body === undefined ? "GET" : "POST")} ${path.replace(/\/aid.*|[?].*/, "")}`
        journal.answered(route, answer?.status ?? "none")
        if (answer?.status === 500)
          journal.violated(
            "a fault of the surroundings is answered 503, never 500",
            `${route} at replica ${replica.name}: ${answer.text.slice(0, 200)}`
          )
      })
    )
  )

/** Repeats a turn until the run is over, with a random pause after each. */
export const untilOver = <A, E, R>(
  { over }: World,
  maxPauseMs: number,
  turn: Effect.Effect<A, E, R>
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    while (!over.now) {
      yield* turn
      yield* Effect.sleep(yield* Random.nextIntBetween(1, maxPauseMs))
    }
  })
