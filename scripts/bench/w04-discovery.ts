import { Effect } from "effect"
import { type Identity, seedAgents } from "./agents.ts"
import { attempt, send } from "./client.ts"
import { plainLoad, startPlain, storedOf } from "./limits.ts"
import type { Shot } from "./load.ts"
import { BenchError, type Workload } from "./model.ts"
import { connect, migratedDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { compare } from "./rounds.ts"
import { startService } from "./service.ts"

const AGENTS = 10_000
const CAPABILITIES = 20
const LIMIT = 50
const CONNECTIONS = 32

interface Page {
  readonly agents: ReadonlyArray<{ readonly aid: string; readonly offeredCaps: ReadonlyArray<string> }>
  readonly count: number
}

const pathOf = (n: number) => `/api/registry/agents?capability=bench.${n}&limit=${LIMIT}`

/** The first page of a capability as it must be: the right agents in the right order. */
const page = Effect.fnUntraced(function* (url: string, n: number, identities: ReadonlyArray<Identity>) {
  const reply = yield* attempt(() => send("GET", url + pathOf(n), { headers: { authorization: "" } }))
  const { agents, count } = JSON.parse(reply.body) as Page
  const expected = identities.filter((_, index) => index % CAPABILITIES === n).slice(0, LIMIT)
  const isRight =
    count === LIMIT &&
    agents.length === LIMIT &&
    agents.every(({ aid, offeredCaps }, i) => aid === expected[i]?.aid && offeredCaps[0] === `bench.${n}`)
  return isRight
    ? reply
    : yield* Effect.fail(new BenchError(`${pathOf(n)} is wrong: ${reply.body.slice(0, 300)}`))
})

export const discovery: Workload = {
  id: "W4",
  title: `Discovery by capability, ${AGENTS} agents, limit ${LIMIT}, ${CONNECTIONS} connections`,
  run: Effect.gen(function* () {
    const { note } = yield* Rig
    const databaseUrl = yield* migratedDatabase
    note("seeding")
    const identities = yield* Effect.flatMap(connect(databaseUrl), (sql) =>
      seedAgents(sql, AGENTS, CAPABILITIES)
    )
    const { url } = yield* startService(databaseUrl)
    const pages = yield* Effect.forEach(Array.from({ length: CAPABILITIES }), (_, n) =>
      page(url, n, identities)
    )
    const shots = pages.map((known, n): Shot => ({
      path: pathOf(n),
      check: ({ body, status }) => (status === 200 && body === known.body ? undefined : "another page")
    }))
    const [first] = pages
    if (first === undefined) return []
    const stored = storedOf(first)
    const plain = yield* startPlain({ "/page": stored })
    const { rates, timings } = yield* compare({
      service: { url, connections: CONNECTIONS, shots },
      plain: plainLoad(plain.url, CONNECTIONS, "/page", stored)
    })
    const latency = timings.service.summary()
    return [
      {
        what: `pages of ${CAPABILITIES} capabilities, ${(Buffer.byteLength(first.body) / 1024).toFixed(0)} KiB each`,
        value: rates.of("service"),
        unit: "/s",
        limit: { what: "the same bytes from `node:http`", value: rates.of("plain") },
        ratio: rates.ratio("service", "plain"),
        target: { kind: "share", atLeast: 0.3 }
      },
      {
        what: "99th percentile of a page",
        value: latency.p99,
        unit: "ms",
        limit: { what: "the same bytes from `node:http`", value: timings.plain.summary().p99 },
        target: { kind: "at most", value: 20 },
        detail: percentiles(latency)
      }
    ]
  })
}
