import { Effect } from "effect"
import { sendFor } from "./client.ts"
import { startPlain } from "./limits.ts"
import type { Workload } from "./model.ts"
import { freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { startService } from "./service.ts"
import { median } from "./statistics.ts"
import { BURST, streamBursts } from "./stream-burst.ts"
import { EVENTS_PER_SECOND, streamLatency } from "./stream-latency.ts"

export const SUBSCRIBERS = 200
const BURSTS = 5

/** The members that the service shows of the events below. */
const shown = (id: string, seq: number) => ({
  id,
  seq,
  ts: new Date().toISOString(),
  type: "bench.stream",
  aidA: "agent-a",
  aidB: "agent-b",
  sessionId: id,
  runId: "run-1",
  payload: { note: "x".repeat(100) },
  source: "bench",
  createdAt: new Date().toISOString()
})

/** An event as it is reported. */
export const streamed = (id: string, type = "bench.stream") => {
  const { aidA, aidB, payload, runId, sessionId, source, ts } = shown(id, 0)
  return { id, ts, type, aidA, aidB, sessionId, runId, payload, source }
}

/** Reports events to a service. */
export const reportTo = (url: string) => (events: ReadonlyArray<unknown>) =>
  sendFor(200, "POST", `${url}/api/events`, { body: JSON.stringify(events) })

export const stream: Workload = {
  id: "W7",
  title: `Event stream, ${SUBSCRIBERS} subscribers`,
  run: Effect.gen(function* () {
    const { note, seconds } = yield* Rig
    const { url } = yield* startService(yield* freshDatabase)
    const plain = yield* startPlain()
    const report = reportTo(url)
    let seq = 0
    const write = (ids: ReadonlyArray<string>) => {
      const frames = ids.map((id) => `id: plain.${(seq += 1)}\ndata: ${JSON.stringify(shown(id, seq))}\n\n`)
      return sendFor(204, "POST", `${plain.url}/stream`, { body: frames.join("") })
    }
    const common = { subscribers: SUBSCRIBERS, seconds, bursts: BURSTS }
    const service = { ...common, streamUrl: `${url}/api/events/stream?last_event_id=latest`, isLedger: true }
    const bare = { ...common, streamUrl: `${plain.url}/stream`, isLedger: false }

    note(`${EVENTS_PER_SECOND} events/s`)
    const timed = yield* streamLatency({ ...service, report: (id) => report([streamed(id)]) })
    note("the same from node:http")
    const timedPlain = yield* streamLatency({ ...bare, report: (id) => write([id]) })
    note("bursts")
    const bursts = yield* streamBursts({
      ...service,
      report: (ids) => report(ids.map((id) => streamed(id)))
    })
    note("bursts from node:http")
    const burstsPlain = yield* streamBursts({ ...bare, report: write })

    const [latency, latencyPlain] = [timed.summary(), timedPlain.summary()]
    const what = "`node:http` writing the same frames, without storing them"
    return [
      {
        what: `median from report to subscriber at ${EVENTS_PER_SECOND} events/s`,
        value: latency.p50,
        unit: "ms",
        limit: { what, value: latencyPlain.p50 },
        target: { kind: "at most", value: 10 },
        detail: `${latency.count} deliveries, none lost; ${percentiles(latency)}`
      },
      {
        what: "99th percentile",
        value: latency.p99,
        unit: "ms",
        limit: { what, value: latencyPlain.p99 },
        target: { kind: "at most", value: 50 }
      },
      {
        what: `frames in bursts of ${BURST} events, from report to the last subscriber`,
        value: median(bursts),
        unit: "/s",
        limit: { what, value: median(burstsPlain) },
        target: { kind: "at least", value: 100_000 },
        detail: "none lost"
      }
    ]
  })
}
