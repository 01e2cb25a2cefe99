import { assert, it } from "@effect/vitest"
import { Effect, Random, type Scope } from "effect"
import { freshDatabase } from "../support/db/TestDb.ts"
import { startOn } from "../support/service/Service.ts"
import { metric, report, seqOf } from "../support/stream/report.ts"
import { type Endpoint, subscribe, type Subscriber } from "../support/stream/subscriber.ts"
import { appendSlowly, writerOn } from "../support/stream/writers.ts"

const between = (min: number, max: number) => Random.nextIntBetween(min, max)

const random = <A>(choices: readonly [A, ...ReadonlyArray<A>]) =>
  Effect.map(between(0, choices.length), (index) => choices[index] ?? choices[0])

/** A subscriber that connects anew, here or there, wherever it happens to be; all the positions it was given. */
const follow = (
  replicas: readonly [Endpoint, Endpoint],
  reconnects: boolean,
  isLast: (seq: number) => boolean
): Effect.Effect<ReadonlyArray<number>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const seen: Array<number> = []
    let position = "earliest"
    while (!isLast(seen.at(-1) ?? 0)) {
      const wanted = reconnects ? yield* between(1, 120) : Number.POSITIVE_INFINITY
      const stream: Subscriber = yield* subscribe(yield* random(replicas), "", { "last-event-id": position })
      yield* stream.until(
        ({ closed, seqs }) => closed || seqs.length >= wanted || isLast(seqs.at(-1) ?? 0),
        60_000
      )
      stream.close()
      assert.deepEqual(stream.resets, [])
      seen.push(...stream.seqs)
      position = stream.lastEventId === "" ? position : stream.lastEventId
    }
    return seen
  })

it.live(
  "give every subscriber every event once and in order, while eight writers hold transactions open",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const environment = { MAX_AUDIT_EVENTS_MEMORY: "50" }
      const replicas = [
        yield* startOn(databaseUrl, environment),
        yield* startOn(databaseUrl, environment)
      ] as const

      let last = Number.POSITIVE_INFINITY
      const isLast = (seq: number) => seq >= last
      const held = Effect.forEach(
        Array.from({ length: 8 }, (_, writer) => writer),
        () =>
          Effect.gen(function* () {
            for (let act = 0; act < 12; act += 1)
              yield* appendSlowly(yield* between(1, 8), yield* between(0, 25))
          }),
        { concurrency: 8, discard: true }
      ).pipe(Effect.provide(writerOn(databaseUrl)), Effect.orDie)
      const reported = Effect.forEach(
        replicas,
        (replica) =>
          Effect.gen(function* () {
            for (let sent = 0; sent < 25; sent += 1)
              yield* report(
                replica,
                Array.from({ length: yield* between(1, 12) }, () => ({ type: "reported", payload: {} }))
              )
          }),
        { concurrency: 2, discard: true }
      )
      const written = Effect.all([held, reported], { concurrency: 2 }).pipe(
        Effect.andThen(report(replicas[0], [{ type: "last" }])),
        Effect.map((position) => void (last = seqOf(position)))
      )
      const [, ...sequences] = yield* Effect.all(
        [written, ...Array.from({ length: 10 }, (_, index) => follow(replicas, index >= 4, isLast))],
        { concurrency: "unbounded" }
      )
      assert.isAbove(last, 500)
      const all = Array.from({ length: last }, (_, index) => index + 1)
      for (const sequence of sequences) assert.deepEqual(sequence, all)
    }),
  90_000
)

it.live(
  "hear of each other's events through the database at once, and within 1.2 s without notifications",
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const writer = yield* startOn(databaseUrl)
      const listening = yield* startOn(databaseUrl)
      // Nothing answers there, so this one never hears a notification.
      const deaf = yield* startOn(databaseUrl, { DATABASE_LISTEN_URL: "postgres://nobody@127.0.0.1:9/none" })
      const [near, far] = [yield* subscribe(listening), yield* subscribe(deaf)]
      yield* near.until(({ text }) => text !== "")
      yield* far.until(({ text }) => text !== "")
      assert.strictEqual(yield* metric(deaf, "listener_up"), 0)
      const latencies: Array<number> = []
      for (let sent = 1; sent <= 10; sent += 1) {
        const begun = performance.now()
        yield* report(writer, [{ type: "hint", payload: {} }])
        yield* near.until(({ seqs }) => seqs.length >= sent)
        latencies.push(performance.now() - begun)
      }
      yield* far.until(({ seqs }) => seqs.length === 10, 3000)
      // far below the second of the poll, whatever else the machine does
      assert.isBelow(latencies.toSorted((a, b) => a - b)[5] ?? 1000, 500)
    }),
  60_000
)
