import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { attempt } from "./client.ts"
import { Delivered } from "./frames.ts"
import { BenchError } from "./model.ts"
import { subscribe } from "./subscribers.ts"
import { until } from "./wait.ts"

/** Events of a burst, reported in two requests at once. */
export const BURST = 1000
const PART = BURST / 2
const ARRIVE_MS = 30_000

interface Burst {
  readonly streamUrl: string
  readonly subscribers: number
  readonly bursts: number
  /** Whether the events have positions; if not, only that none is missing is checked. */
  readonly isLedger: boolean
  /** Sends events with these ids; settles when they were acknowledged. */
  readonly report: (ids: ReadonlyArray<string>) => Promise<unknown>
}

/** Longer than an id, which may be cut in two. */
const OVERLAP = 64

/** What one subscriber gets of a burst: kept as it came, and read when the burst is over. */
class Inbox {
  readonly #marks: Set<string>
  readonly #chunks: Array<Buffer> = []
  #tail = ""

  /** @param marks ids of the last event of each part */
  constructor(marks: ReadonlyArray<string>) {
    this.#marks = new Set(marks)
  }

  take(chunk: Buffer): void {
    this.#chunks.push(chunk)
    const fresh = this.#tail + chunk.toString("latin1")
    for (const mark of this.#marks) if (fresh.includes(mark)) this.#marks.delete(mark)
    this.#tail = fresh.slice(-OVERLAP)
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8")
  }

  /** Whether the last event of each part is there and the text is one of whole messages. */
  get isComplete(): boolean {
    return this.#marks.size === 0 && this.#tail.endsWith("\n\n")
  }
}

const faultOf = (
  inboxes: ReadonlyArray<Inbox>,
  ids: ReadonlyArray<string>,
  isLedger: boolean
): string | undefined => {
  const places = isLedger ? new Map<number, string>() : undefined
  const wanted = new Set(ids)
  const known = new Set<string>()
  for (const { text } of inboxes) {
    if (known.has(text)) continue // the same bytes as another one
    const delivered = new Delivered(places)
    const got = delivered.take(text)
    if (delivered.fault !== undefined) return delivered.fault
    if (got.length !== ids.length || got.some((id) => !wanted.has(id)))
      return `${got.length} of ${ids.length} events came`
    known.add(text)
  }
  return undefined
}

/** Frames/s of each burst: from its report to the moment when the last subscriber has all of it. None may be lost. */
export const streamBursts = Effect.fnUntraced(function* ({
  bursts,
  isLedger,
  report,
  streamUrl,
  subscribers
}: Burst) {
  let inboxes: ReadonlyArray<Inbox> = []
  const ends: Array<string> = []
  yield* subscribe(
    streamUrl,
    subscribers,
    (index, chunk) => inboxes[index]?.take(chunk),
    (why) => ends.push(why)
  )
  const rates: Array<number> = []
  for (let burst = 0; burst <= bursts; burst += 1) {
    const parts = [0, 1].map(() => Array.from({ length: PART }, () => randomUUID() as string))
    inboxes = Array.from({ length: subscribers }, () => new Inbox(parts.map((part) => part.at(-1) ?? "")))
    const begun = performance.now()
    const reported = Promise.all(parts.map(report))
    reported.catch(() => {}) // looked at below
    const missing = () => inboxes.filter(({ isComplete }) => !isComplete).length
    yield* until(
      () => missing() === 0 || ends.length > 0,
      ARRIVE_MS,
      () => `${missing()} subscribers lack events`
    )
    const took = performance.now() - begun
    yield* attempt(() => reported)
    const fault = ends[0] ?? faultOf(inboxes, parts.flat(), isLedger)
    if (fault !== undefined) return yield* Effect.fail(new BenchError(`${streamUrl}: ${fault}`))
    if (burst > 0) rates.push((BURST * subscribers * 1000) / took) // the first one warms up
  }
  return rates
}, Effect.scoped)
