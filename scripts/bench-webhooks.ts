import { createServer, type ServerResponse } from "node:http"

/**
 * Measures how a running service delivers under strain, to receivers that this script starts on loopback: how a backlog is
 * worked off while new events come, and what a neighbour that hangs does to the others. Latency and rate are part of
 * `npm run bench`.
 *
 * node scripts/bench-webhooks.ts backlog   [events=10000]
 * node scripts/bench-webhooks.ts neighbour [events/s=50] [seconds=20]
 *
 * CP_URL       the service (http://localhost:4000); it must run with RATE_LIMIT_ENABLED=false and
 *              WEBHOOK_ALLOW_CIDRS=127.0.0.0/8
 * CP_API_KEY   an API key of it
 */

const url = process.env["CP_URL"] ?? "http://localhost:4000"
const headers = { authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}` }
const [mode = "backlog", first, second] = process.argv.slice(2)

const now = () => performance.timeOrigin + performance.now()
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

const call = async (method: string, path: string, body?: unknown) => {
  const response = await fetch(url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
  return JSON.parse(text)
}

interface Arrival {
  readonly sent: number
  readonly arrived: number
}

/** A receiver with a subscription of its own, which gets the events of one run id. */
const receive = async (runId: string, answer: (response: ServerResponse) => void) => {
  const arrivals: Array<Arrival> = []
  const server = createServer((request, response) => {
    const arrived = now()
    let body = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      const [, sent] = /"benchSentAt":([\d.]+)/.exec(body) ?? []
      if (sent !== undefined) arrivals.push({ sent: Number(sent), arrived })
      answer(response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const webhook = await call("POST", "/api/webhooks", {
    url: `http://127.0.0.1:${port}/`,
    filter: { runId }
  })
  const close = async () => {
    await call("DELETE", `/api/webhooks/${webhook.id}`)
    server.close()
    server.closeAllConnections()
  }
  return { arrivals, close }
}

const accept = (response: ServerResponse) => void response.writeHead(204).end()

/** Reports so many events for the receiver of this run. */
const report = (runId: string, count: number) =>
  call(
    "POST",
    "/api/events",
    Array.from({ length: count }, () => ({ type: "agent.expired", runId, payload: { benchSentAt: now() } }))
  )

/** Reports them in batches, four requests at a time. */
const reportMany = async (runId: string, count: number) => {
  let left = count
  const reporter = async () => {
    while (left > 0) {
      const size = Math.min(100, left)
      left -= size
      await report(runId, size)
    }
  }
  await Promise.all([reporter(), reporter(), reporter(), reporter()])
}

/** Reports one event after the other, so many in a second; when each was acknowledged, by when it was sent. */
const reportSteadily = async (runId: string, perSecond: number, seconds: number) => {
  const acknowledged: Array<Promise<number>> = []
  const begun = now()
  for (let index = 0; index < perSecond * seconds; index += 1) {
    await pause(begun + (index * 1000) / perSecond - now())
    const sent = now()
    acknowledged.push(report(runId, 1).then(() => now() - sent))
  }
  return Promise.all(acknowledged)
}

const until = async (condition: () => boolean, withinMs: number) => {
  const begun = now()
  while (!condition() && now() - begun < withinMs) await pause(5)
}

const percentiles = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  return [50, 90, 99, 100]
    .map((p) => {
      const value = sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))]
      return `p${p} ${(value ?? 0).toFixed(1)} ms`
    })
    .join(", ")
}

const lateness = (arrivals: ReadonlyArray<Arrival>) => arrivals.map(({ arrived, sent }) => arrived - sent)

const backlog = async (events: number) => {
  const runId = crypto.randomUUID()
  const held: Array<ServerResponse> = []
  let holding = true
  const { arrivals, close } = await receive(runId, (response) => {
    if (holding) held.push(response)
    else accept(response)
  })
  await reportMany(runId, events)
  holding = false
  held.forEach(accept)
  const begun = now()
  const isNew = ({ sent }: Arrival) => sent >= begun
  const old = () => arrivals.filter((arrival) => !isNew(arrival)).length
  const seconds = 3
  const answers = await reportSteadily(runId, 20, seconds)
  await until(() => arrivals.length >= events + answers.length, 120_000)
  const drained = (now() - begun) / 1000
  console.log(`${old()} of ${events} drained in ${drained.toFixed(1)} s`)
  console.log(`new events meanwhile: ${percentiles(lateness(arrivals.filter(isNew)))}`)
  await close()
}

const neighbour = async (perSecond: number, seconds: number) => {
  const [runId, hangingId] = [crypto.randomUUID(), crypto.randomUUID()]
  const { arrivals, close } = await receive(runId, accept)
  const measure = async () => {
    arrivals.length = 0
    const answers = await reportSteadily(runId, perSecond, seconds)
    await until(() => arrivals.length >= answers.length, 5000)
    return percentiles(lateness(arrivals))
  }
  await measure()
  console.log(`alone:              ${await measure()}`)
  const hanging = await receive(hangingId, () => {})
  const [, beside] = await Promise.all([reportSteadily(hangingId, perSecond, seconds), measure()])
  console.log(`beside one hanging: ${beside}`)
  await hanging.close()
  await close()
}

if (mode === "neighbour") await neighbour(Number(first ?? 50), Number(second ?? 20))
else await backlog(Number(first ?? 10_000))
process.exit(0)
