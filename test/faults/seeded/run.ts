import { Effect, Fiber, Random } from "effect"
import type { Postgres } from "../../support/faults/Postgres.ts"
import type { Replica } from "../../support/faults/Replica.ts"
import { eventually } from "../../support/db/eventually.ts"
import { vkeyOf } from "../../support/log/client.ts"
import { sendTo } from "../../support/service/client.ts"
import { sqlOn } from "../../support/service/Service.ts"
import { heal } from "./heal.ts"
import { inject } from "./inject.ts"
import type { Violation } from "./Journal.ts"
import { joiner } from "./joiners.ts"
import { operator } from "./operators.ts"
import { judgeDeliveries } from "./oracle/deliveries.ts"
import { judgeLedger, readLedger } from "./oracle/ledger.ts"
import { judgeLog } from "./oracle/log.ts"
import { judgeProjections } from "./oracle/projections.ts"
import { judgeRegistry } from "./oracle/registry.ts"
import { judgeHolds, judgeMemory, judgeOutput, judgeStopped } from "./oracle/remains.ts"
import { judgeRevocations } from "./oracle/revocations.ts"
import { pulled, subscriber, unread } from "./readers.ts"
import { reporter } from "./reporters.ts"
import { planOf } from "./schedule.ts"
import { type Checkpoints, checkpointWatcher, listWatcher } from "./watchers.ts"
import { makeWorld, untilOver, type World } from "./World.ts"

/** What clients may still be busy with when the faults are over. */
const LAST_TURN_MS = 30_000

export interface Result {
  readonly seed: number
  readonly ms: number
  /** By property. */
  readonly violations: ReadonlyMap<string, Violation>
  /** Figures of the run, one per line. */
  readonly figures: ReadonlyArray<string>
}

const ready = (replica: Replica) =>
  eventually(sendTo(replica, "/api/readyz"), ({ status }) => status === 200, 60_000)

const subscribe = (world: World) =>
  Effect.forEach(world.receivers.all, ({ url }) =>
    Effect.gen(function* () {
      const answer = yield* sendTo(world.replicas[0]!, "/api/webhooks", { key: true, body: { url } })
      if (answer.status !== 201) return yield* Effect.die(new Error(answer.text))
      world.journal.secrets.add(answer.json<{ readonly secret: string }>().secret)
    })
  )

/** One run: everything that its seed plans, then the judgement. */
export const run = (
  seed: number,
  postgres: Postgres,
  tell: (line: string) => void
): Effect.Effect<Result, unknown> =>
  Effect.gen(function* () {
    const began = performance.now()
    const plan = planOf(seed)
    const world = yield* makeWorld(seed, postgres, plan.replicas, tell)
    const { journal, replicas } = world
    const [first] = replicas
    yield* first!.start
    yield* ready(first!)
    yield* Effect.forEach(replicas.slice(1), (replica) => Effect.andThen(replica.start, ready(replica)), {
      concurrency: "unbounded"
    })
    yield* subscribe(world)
    const vkey = yield* vkeyOf(first!)
    const fresh = yield* first!.vitals

    const readers = [unread("subscriber 0"), unread("subscriber 1"), unread("reader")] as const
    const checkpoints: Checkpoints = new Map()
    let clients = 0
    const client = <E>(maxPauseMs: number, turn: Effect.Effect<unknown, E>) =>
      untilOver(world, maxPauseMs, turn).pipe(
        Random.withSeed(`client/${seed}/${clients++}`),
        Effect.forkChild
      )
    const running = yield* Effect.all([
      ...[0, 1, 2].map((n) => client(100, reporter(world, seed * 8 + n))),
      ...[0, 1].map(() => client(250, operator(world))),
      ...[0, 1].map(() => client(250, joiner(world))),
      client(300, subscriber(world, readers[0])),
      client(300, subscriber(world, readers[1])),
      client(100, pulled(world, readers[2])),
      ...replicas.map((replica) => client(300, checkpointWatcher(world, replica, vkey, checkpoints))),
      ...replicas.map((replica) => client(300, listWatcher(world, replica)))
    ])
    yield* inject(plan, world)
    tell(`${journal.at().padStart(9)}  no more faults`)
    world.over.now = true
    const left = yield* Effect.timeoutOption(Fiber.joinAll(running), LAST_TURN_MS)
    if (left._tag === "None") journal.violated("every request ends", "clients still wait for an answer")

    const sql = yield* sqlOn(world.databaseUrl)
    const took = yield* heal(world, sql)
    tell(`${journal.at().padStart(9)}  healed (ms: ${[...took].map((each) => each.join(" ")).join(", ")})`)
    const ledger = yield* readLedger(sql)
    yield* judgeLedger(world, ledger, readers)
    yield* judgeProjections(world, ledger)
    yield* judgeRevocations(world, sql, ledger)
    yield* judgeRegistry(world, ledger)
    yield* judgeLog(world, sql, vkey, checkpoints)
    judgeDeliveries(world, plan, ledger)
    yield* judgeHolds(world, sql)
    for (const replica of replicas) {
      const now = yield* replica.vitals
      judgeMemory(world, fresh, replica.name, now)
      tell(`replica ${replica.name}: ${JSON.stringify(now)} after ${JSON.stringify(fresh)}`)
    }
    yield* Effect.forEach(replicas, ({ stop }) => stop, { concurrency: "unbounded", discard: true })
    yield* judgeStopped(world, sql)
    judgeOutput(world)
    return {
      seed,
      ms: Math.round(performance.now() - began),
      violations: journal.violations,
      figures: [
        `${ledger.length} events, ${journal.items.size + journal.marked.size} reported, ${journal.revocations.size} revocations, ` +
          `${journal.agents.size} agents, ${checkpoints.size} checkpoints, lives ${replicas.map(({ life }) => life).join("+")}`,
        ...[...journal.answers].toSorted().map((each) => each.join(" × "))
      ]
    }
  }).pipe(Effect.scoped)
