import { Effect, Semaphore } from "effect"
import { type Fault, laneOf, type Plan, type Planned, describe } from "./schedule.ts"
import type { World } from "./World.ts"

const begun = (fault: Fault, world: World): Effect.Effect<void> => {
  const { links, postgres, receivers, redis, replicas } = world
  switch (fault.kind) {
    case "kill":
      return replicas[fault.replica]!.kill
    case "restart":
      return replicas[fault.replica]!.stop
    case "pause":
      return replicas[fault.replica]!.signal("SIGSTOP")
    case "clock":
      return replicas[fault.replica]!.setClock(fault.byMs)
    case "stall":
    case "halfOpen":
    case "cut":
    case "slow":
      return Effect.sync(() => links[fault.replica]!.become(fault.kind, fault.delayMs))
    case "reset":
      return Effect.sync(() => links[fault.replica]!.reset())
    case "databaseKill":
      return postgres.kill
    case "databasePause":
      return postgres.signalAll("SIGSTOP")
    case "readOnly":
      return postgres.readOnly(true)
    case "diskFull":
      return postgres.hasSmallDisk ? postgres.fillDisk(true) : Effect.void
    case "redisGone":
      return redis.kill
    case "receiver":
      return Effect.sync(() => receivers.behave(fault.as))
  }
}

const ended = (fault: Fault, world: World): Effect.Effect<void> => {
  const { links, postgres, receivers, redis, replicas } = world
  switch (fault.kind) {
    case "kill":
    case "restart":
      return replicas[fault.replica]!.start
    case "pause":
      return replicas[fault.replica]!.signal("SIGCONT")
    case "clock":
      return replicas[fault.replica]!.setClock(0)
    case "stall":
    case "halfOpen":
    case "cut":
    case "slow":
      return Effect.sync(() => links[fault.replica]!.become("pass"))
    case "databaseKill":
      return postgres.ready
    case "databasePause":
      return postgres.signalAll("SIGCONT")
    case "readOnly":
      return postgres.readOnly(false)
    case "diskFull":
      return postgres.fillDisk(false)
    case "redisGone":
      return redis.restart
    case "receiver":
      return Effect.sync(() => receivers.behave("well"))
    case "reset":
      return Effect.void
  }
}

/** Lets everything happen that is planned, and comes back when all of it is undone. */
export const inject = (plan: Plan, world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    const lanes = new Map<string, Semaphore.Semaphore>()
    for (const { fault } of plan.faults) lanes.set(laneOf(fault), yield* Semaphore.make(1))
    const happen = (planned: Planned) =>
      Effect.gen(function* () {
        const { atMs, fault } = planned
        yield* Effect.sleep(atMs)
        const lane = lanes.get(laneOf(fault))!
        yield* lane.withPermit(
          Effect.gen(function* () {
            world.tell(`${world.journal.at().padStart(9)}  ${describe(planned).slice(10)}`)
            yield* begun(fault, world)
            yield* Effect.sleep(fault.forMs)
            yield* ended(fault, world)
          })
        )
      })
    yield* Effect.forEach(plan.faults, happen, { concurrency: "unbounded", discard: true })
  })
