import { request, type IncomingMessage } from "node:http"

/**
 * Measures the event stream of a running service: how long an event takes from being reported to each subscriber, or
 * with `idle`, what open streams cost.
 *
 * node scripts/bench-stream.ts latency [subscribers=200] [events/s=50] [seconds=10]
 * node scripts/bench-stream.ts burst   [subscribers=100] [events=1000]
 * node scripts/bench-stream.ts idle    [subscribers=5000]
 *
 * CP_URL             where events are reported (http://localhost:4000)
 * CP_SUBSCRIBE_URL   where streams are opened; another replica, or unset for the same
 * CP_API_KEY         an API key of both, which must have RATE_LIMIT_ENABLED=false and enough MAX_SSE_CONNECTIONS;
 *                    `ulimit -n` must allow the sockets on both sides
 */

const reportUrl = process.env["CP_URL"] ?? "http://localhost:4000"
const streamUrl = process.env["CP_SUBSCRIBE_URL"] ?? reportUrl
const headers = { authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}` }
const [mode = "latency", first, second, third] = process.argv.slice(2)

const subscribe = (onText: (text: string) => void): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request(`${streamUrl}/api/events/stream?last_event_id=latest`, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`stream answered ${response.statusCode}`))
      response.setEncoding("utf8").on("data", onText)
      response.once("data", () => resolve(response))
    })
      .on("error", reject)
      .end()
  })

const report = async (events: ReadonlyArray<unknown>) => {
  const response = await fetch(`${reportUrl}/api/events`, {
    method: "POST",
    headers,
    body: JSON.stringify(events)
  })
  if (!response.ok) throw new Error(`report answered ${response.status}: ${await response.text()}`)
  await response.arrayBuffer()
}

const subscribeAll = async (count: number, onText: (index: number, text: string) => void) => {
  for (let begun = 0; begun < count; begun += 100) {
    const part = Array.from({ length: Math.min(100, count - begun) }, (_, index) =>
      subscribe((text) => onText(begun + index, text))
    )
    await Promise.all(part)
  }
}

const now = () => performance.timeOrigin + performance.now()
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

const percentiles = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  return [50, 90, 99, 99.9, 100]
    .map(
      (p) =>
        `p${p} ${(sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0).toFixed(1)} ms`
    )
    .join(", ")
}

/** The times that events of this run carry, out of whatever part of the stream has arrived. */
const STAMP = /"benchSentAt":([\d.]+)/g

const latency = async (subscribers: number, perSecond: number, seconds: number) => {
  const arrivals: Array<{ readonly sent: number; readonly arrived: number }> = []
  await subscribeAll(subscribers, (_, text) => {
    const arrived = now()
    for (const [, sent] of text.matchAll(STAMP)) arrivals.push({ sent: Number(sent), arrived })
  })
  const answers = new Map<number, number>()
  const events = perSecond * seconds
  const begun = now()
  for (let index = 0; index < events; index += 1) {
    await pause(begun + (index * 1000) / perSecond - now())
    const benchSentAt = now()
    void report([{ type: "bench", payload: { benchSentAt } }]).then(() => answers.set(benchSentAt, now()))
  }
  await pause(2000)
  console.log(`${arrivals.length} of ${events * subscribers} deliveries`)
  console.log(`request to subscriber: ${percentiles(arrivals.map(({ arrived, sent }) => arrived - sent))}`)
  console.log(
    `request to answer:     ${percentiles([...answers].map(([sent, answered]) => answered - sent))}`
  )
  // Negative where the frame was there before the answer.
  console.log(
    `answer to subscriber:  ${percentiles(arrivals.map(({ arrived, sent }) => arrived - (answers.get(sent) ?? 0)))}`
  )
}

const burst = async (subscribers: number, events: number) => {
  const seen = Array.from({ length: subscribers }, () => 0)
  await subscribeAll(subscribers, (index, text) => {
    seen[index] = (seen[index] ?? 0) + [...text.matchAll(/^data: \{"id"/gm)].length
  })
  const begun = now()
  for (let sent = 0; sent < events; sent += 500)
    await report(Array.from({ length: Math.min(500, events - sent) }, () => ({ type: "bench", payload: {} })))
  while (seen.some((count) => count < events) && now() - begun < 30_000) await pause(5)
  const delivered = seen.reduce((sum, count) => sum + count, 0)
  const seconds = (now() - begun) / 1000
  console.log(`${delivered} of ${subscribers * events} frames in ${seconds.toFixed(2)} s`)
}

const residentMiB = async () => {
  const page = await (await fetch(`${streamUrl}/api/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(page)?.[1]) / 1_048_576
}

const idle = async (subscribers: number) => {
  await subscribeAll(10, () => {})
  await pause(1000)
  const before = await residentMiB()
  await subscribeAll(subscribers, () => {})
  await pause(20_000) // beyond one heartbeat
  const after = await residentMiB()
  console.log(`${before.toFixed(0)} MiB before, ${after.toFixed(0)} MiB with ${subscribers} streams`)
  console.log(`${(((after - before) * 1024) / subscribers).toFixed(1)} KiB each`)
}

if (mode === "idle") await idle(Number(first ?? 5000))
else if (mode === "burst") await burst(Number(first ?? 100), Number(second ?? 1000))
else await latency(Number(first ?? 200), Number(second ?? 50), Number(third ?? 10))
process.exit(0)
