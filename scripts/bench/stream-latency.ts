import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { Delivered } from "./frames.ts"
import { BenchError } from "./model.ts"
import { Timings } from "./statistics.ts"
import { subscribe } from "./subscribers.ts"
import { steadily, until } from "./wait.ts"

export const EVENTS_PER_SECOND = 50
const WARM_SECONDS = 1
const ARRIVE_MS = 10_000

export interface Streamed {
  /** Where streams are opened, with the query. */
  readonly streamUrl: string
  readonly subscribers: number
  readonly seconds: number
  /** Whether the events have positions; if not, only that none is missing is checked. */
  readonly isLedger: boolean
  /** Reports one event with this id; settles when it was acknowledged. */
  readonly report: (id: string) => Promise<unknown>
}

/**
 * From the report of an event to its arrival at each subscriber, at 50 events/s. Every subscriber must get every event,
 * once, in the order of the positions, which is the same for all.
 */
export const streamLatency = Effect.fnUntraced(function* ({
  isLedger,
  report,
  seconds,
  streamUrl,
  subscribers
}: Streamed) {
  const sentAt = new Map<string, number>()
  const places = new Map<number, string>()
  const delivered = Array.from({ length: subscribers }, () => new Delivered(isLedger ? places : undefined))
  const timings = new Timings()
  const faults: Array<string> = []
  // Looked at when the measurement is over: reading what one got would delay what the others get.
  let arrivals: Array<{ readonly index: number; readonly at: number; readonly chunk: Buffer }> = []
  yield* subscribe(
    streamUrl,
    subscribers,
    (index, chunk) => arrivals.push({ index, at: performance.now(), chunk }),
    (why) => faults.push(why)
  )
  const warming = EVENTS_PER_SECOND * WARM_SECONDS
  yield* steadily(EVENTS_PER_SECOND, WARM_SECONDS + seconds, (index) => {
    const id = randomUUID()
    sentAt.set(id, index < warming ? Number.NEGATIVE_INFINITY : performance.now())
    report(id).catch((error: unknown) => void faults.push(String(error)))
  })
  const read = () => {
    for (const { at, chunk, index } of arrivals) {
      for (const id of delivered[index]?.take(chunk.toString("utf8")) ?? []) {
        const sent = sentAt.get(id)
        if (sent === undefined) faults.push(`an event ${id} that nobody reported`)
        else if (sent >= 0) timings.record(at - sent)
      }
    }
    arrivals = []
    return delivered.filter(({ count }) => count < sentAt.size).length
  }
  yield* until(
    () => read() === 0 || faults.length > 0,
    ARRIVE_MS,
    () => `${read()} subscribers lack some of ${sentAt.size} events`
  )
  const [fault = delivered.find((each) => each.fault !== undefined)?.fault] = faults
  if (fault !== undefined) return yield* Effect.fail(new BenchError(`${streamUrl}: ${fault}`))
  const isMore = isLedger && places.size !== sentAt.size
  if (isMore || delivered.some(({ count }) => count !== sentAt.size))
    return yield* Effect.fail(new BenchError("subscribers got more than was reported"))
  return timings
}, Effect.scoped)
