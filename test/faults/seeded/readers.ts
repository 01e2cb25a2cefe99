import { Effect, Random } from "effect"
import { Subscriber } from "../../support/stream/subscriber.ts"
import { anyReplica, ask, type World } from "./World.ts"

/** What one reader was given, in its order. */
export interface Seen {
  readonly name: string
  readonly events: Array<{ readonly seq: number; readonly id: string }>
  /** Where it goes on. */
  lastEventId: string
}

export const unread = (name: string): Seen => ({ name, events: [], lastEventId: "earliest" })

/** Takes over what came on one connection. */
const take = (world: World, seen: Seen, subscriber: Subscriber) => {
  for (const { seq, id } of subscriber.events) {
    const last = seen.events.at(-1)
    if (last !== undefined && seq <= last.seq)
      world.journal.violated(
        "a stream goes on after the position it was given",
        `${seen.name} had ${last.seq} and was sent ${seq} (${id}); resets: ${JSON.stringify(subscriber.resets)}`
      )
    else seen.events.push({ seq, id })
  }
  if (subscriber.lastEventId !== "") seen.lastEventId = subscriber.lastEventId
}

/** One connection of a subscriber, anywhere, for a random time; `strict` refuses to go on elsewhere than it asked. */
export const streamed = (world: World, seen: Seen, forMs: number) =>
  Effect.gen(function* () {
    const { apiKey, name, url } = yield* anyReplica(world)
    const subscriber = new Subscriber(`${url}/api/events/stream?strict=1`, {
      authorization: `Bearer ${apiKey}`,
      "last-event-id": seen.lastEventId
    })
    const until = performance.now() + forMs
    while (performance.now() < until && !subscriber.closed) yield* Effect.sleep(20)
    subscriber.close()
    world.journal.answered("GET /api/events/stream", subscriber.status)
    const bad = subscriber.resets.filter(({ reason }) => reason !== "shutdown" && reason !== "slow_consumer")
    if (bad.length > 0 || ![0, 200, 400, 503].includes(subscriber.status))
      world.journal.violated(
        "a position that was given out stays good",
        `${seen.lastEventId} at replica ${name}: ${subscriber.status} ${JSON.stringify(bad)} ${subscriber.body}`
      )
    take(world, seen, subscriber)
  })

/** One page of the pull interface. */
export const pulled = (world: World, seen: Seen) =>
  Effect.gen(function* () {
    const replica = yield* anyReplica(world)
    const answer = yield* ask(
      world,
      replica,
      `/api/events?after=${encodeURIComponent(seen.lastEventId)}&limit=200&wait=1`,
      { key: true }
    )
    if (answer?.status !== 200) return 0
    const { events, next } = answer.json<{
      readonly events: ReadonlyArray<{ readonly seq: number; readonly id: string }>
      readonly next: string
    }>()
    for (const { id, seq } of events) {
      const last = seen.events.at(-1)
      if (last !== undefined && seq <= last.seq)
        world.journal.violated(
          "a page begins after the position it was asked for",
          `${seen.name} had ${last.seq} and got ${seq}`
        )
      else seen.events.push({ seq, id })
    }
    seen.lastEventId = next
    return events.length
  })

/** A subscriber that changes its replica again and again. */
export const subscriber = (world: World, seen: Seen) =>
  Effect.andThen(Random.nextIntBetween(100, 2500), (forMs) => streamed(world, seen, forMs))
