import { request, type IncomingMessage } from "node:http"

/**
 * Measures what open streams of a running service cost while nothing happens: its resident memory before and with them.
 * Latency and bursts are part of `npm run bench`.
 *
 * node scripts/bench-stream.ts [subscribers=5000]
 *
 * CP_URL       the service (http://localhost:4000), started with RATE_LIMIT_ENABLED=false and enough MAX_SSE_CONNECTIONS;
 *              `ulimit -n` must allow the sockets on both sides
 * CP_API_KEY   an API key of it
 */

const url = process.env["CP_URL"] ?? "http://localhost:4000"
const headers = { authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}` }
const subscribers = Number(process.argv[2] ?? 5000)

const subscribe = (): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request(`${url}/api/events/stream?last_event_id=latest`, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`stream answered ${response.statusCode}`))
      response.on("data", () => resolve(response))
    })
      .on("error", reject)
      .end()
  })

const subscribeAll = async (count: number) => {
  for (let begun = 0; begun < count; begun += 100)
    await Promise.all(Array.from({ length: Math.min(100, count - begun) }, subscribe))
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const residentMiB = async () => {
  const page = await (await fetch(`${url}/api/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(page)?.[1]) / 1_048_576
}

await subscribeAll(10)
await pause(1000)
const before = await residentMiB()
await subscribeAll(subscribers)
await pause(20_000) // beyond one heartbeat
const after = await residentMiB()
console.log(`${before.toFixed(0)} MiB before, ${after.toFixed(0)} MiB with ${subscribers} streams`)
console.log(`${(((after - before) * 1024) / subscribers).toFixed(1)} KiB each`)
process.exit(0)
