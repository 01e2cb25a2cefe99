import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { attempt, sendFor } from "./client.ts"
import { startPlain } from "./limits.ts"
import { fire, warm } from "./load.ts"
import { BenchError, type Workload } from "./model.ts"
import { freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { startService } from "./service.ts"
import { Timings } from "./statistics.ts"
import { steadily, until } from "./wait.ts"
import { receive } from "./webhook-receiver.ts"

const EVENTS_PER_SECOND = 50
const BATCH = 100
const REPORTERS = 4
/** Deliveries for each second of a measurement of the rate. */
const PER_SECOND = 1500
const DELIVERED_MS = 60_000
/** Attempts at once of one subscription: the service's default. */
const CONNECTIONS = 8

const event = (runId: string, id: string) => ({
  id,
  type: "handshake.complete",
  runId,
  aidA: "agent-a",
  aidB: "agent-b",
  sessionId: id,
  source: "bench",
  payload: { boundary: "bench" }
})

type Receiver = Effect.Success<ReturnType<typeof receive>>

/** Waits for all these events; each must come exactly once. */
const collect = Effect.fnUntraced(function* (receiver: Receiver, ids: ReadonlySet<string>) {
  const missing = () => `${ids.size - receiver.count()} of ${ids.size} events were not delivered`
  yield* until(() => receiver.count() >= ids.size, DELIVERED_MS, missing)
  const delivered = yield* attempt(async () => receiver.take())
  const got = new Set(delivered.map(({ id }) => id))
  if (delivered.length !== ids.size || got.size !== ids.size || [...got].some((id) => !ids.has(id)))
    return yield* Effect.fail(
      new BenchError(`${ids.size} events, ${delivered.length} deliveries of ${got.size}`)
    )
  return delivered
})

const latency = Effect.fnUntraced(function* (url: string, receiver: Receiver, seconds: number) {
  const sentAt = new Map<string, number>()
  const faults: Array<unknown> = []
  yield* steadily(EVENTS_PER_SECOND, seconds, () => {
    const id = randomUUID()
    sentAt.set(id, performance.now())
    const body = JSON.stringify([event(receiver.runId, id)])
    sendFor(200, "POST", `${url}/api/events`, { body }).catch((error: unknown) => void faults.push(error))
  })
  const delivered = yield* collect(receiver, new Set(sentAt.keys()))
  if (faults.length > 0) return yield* Effect.fail(faults[0])
  const timings = new Timings()
  for (const { at, id } of delivered) timings.record(at - (sentAt.get(id) ?? Number.NaN))
  return timings.summary()
})

/** Deliveries/s from the first report to the last delivery. */
const rate = Effect.fnUntraced(function* (url: string, receiver: Receiver, events: number) {
  const ids = Array.from({ length: events }, () => randomUUID() as string)
  const left = [...ids]
  const begun = performance.now()
  const reporter = async () => {
    while (left.length > 0) {
      const body = JSON.stringify(left.splice(0, BATCH).map((id) => event(receiver.runId, id)))
      await sendFor(200, "POST", `${url}/api/events`, { body })
    }
  }
  yield* attempt(() => Promise.all(Array.from({ length: REPORTERS }, reporter)))
  const delivered = yield* collect(receiver, new Set(ids))
  return (events * 1000) / (Math.max(...delivered.map(({ at }) => at)) - begun)
})

export const webhooks: Workload = {
  id: "W9",
  title: "Webhooks to one receiver on loopback",
  run: Effect.gen(function* () {
    const { note, seconds } = yield* Rig
    const { url } = yield* startService(yield* freshDatabase)
    const receiver = yield* receive(url)
    note("warming up")
    yield* latency(url, receiver, 1)
    yield* rate(url, receiver, PER_SECOND)
    note("latency")
    const late = yield* latency(url, receiver, seconds)
    note("rate")
    const perSecond = yield* rate(url, receiver, PER_SECOND * seconds)
    note("node:http alone")
    const plain = yield* startPlain()
    const body = JSON.stringify({ payload: event(receiver.runId, randomUUID()), note: "x".repeat(200) })
    const load = {
      url: plain.url,
      connections: CONNECTIONS,
      seconds,
      shots: [
        {
          method: "POST" as const,
          path: "/hook",
          body: () => body,
          check: ({ status }: { readonly status: number }) => (status === 204 ? undefined : "status")
        }
      ]
    }
    yield* warm(load)
    const posts = yield* fire(load)
    return [
      {
        what: "deliveries, from the first report to the last",
        value: perSecond,
        unit: "/s",
        limit: {
          what: `requests of that size over ${CONNECTIONS} connections, nothing stored`,
          value: posts.perSecond
        },
        target: { kind: "at least", value: 1000 },
        detail: "each once, signatures checked"
      },
      {
        what: `median from report to receiver at ${EVENTS_PER_SECOND} events/s`,
        value: late.p50,
        unit: "ms",
        limit: { what: "one such request and its answer", value: posts.timings.summary().p50 },
        target: { kind: "at most", value: 15 },
        detail: percentiles(late)
      }
    ]
  })
}
