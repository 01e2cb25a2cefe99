import { Effect } from "effect"
import { isManifestOf, type Identity, seedAgents } from "./agents.ts"
import { attempt, sendFor } from "./client.ts"
import { helloLoad, startHello } from "./limits.ts"
import type { Shot } from "./load.ts"
import { BenchError, type Workload } from "./model.ts"
import { connect, migratedDatabase, type Sql } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { compare } from "./rounds.ts"
import { startService } from "./service.ts"

const AGENTS = 10_000
/** Agents that are asked for, in turns. */
const ASKED = 500
const CONNECTIONS = 32

const pathOf = ({ aid }: Identity) => `/api/registry/agents/${encodeURIComponent(aid)}`

/** Requests for one answer each, which is checked in full once and compared after that. */
const shotsOf = (
  url: string,
  identities: ReadonlyArray<Identity>,
  suffix: string,
  isRight: (identity: Identity, body: string) => boolean
) =>
  Effect.forEach(identities, (identity) =>
    Effect.gen(function* () {
      const path = pathOf(identity) + suffix
      const known = yield* attempt(() => sendFor(200, "GET", url + path, { headers: { authorization: "" } }))
      if (!isRight(identity, known))
        return yield* Effect.fail(new BenchError(`${path} is wrong: ${known.slice(0, 300)}`))
      const shot: Shot = {
        path,
        check: ({ body, status }) => (status === 200 && body === known ? undefined : "another answer")
      }
      return shot
    })
  )

/** Rows/s by primary key through one connection, one after the other. */
const selects = Effect.fnUntraced(function* (sql: Sql, identities: ReadonlyArray<Identity>, seconds: number) {
  let count = 0
  const begun = performance.now()
  while (performance.now() - begun < seconds * 1000) {
    const aid = identities[count % identities.length]?.aid ?? ""
    const [row] = yield* sql<{ readonly aid: string }>`
      select aid, display_name, handshake_endpoint, offered_caps, status, namespace, registered_at from agents
      where aid = ${aid}`
    if (row?.aid !== aid) return yield* Effect.fail(new BenchError(`no row of ${aid}`))
    count += 1
  }
  return (count * 1000) / (performance.now() - begun)
})

export const oneAgent: Workload = {
  id: "W5",
  title: `One agent by AID, and its manifest, ${CONNECTIONS} connections`,
  run: Effect.gen(function* () {
    const { note, seconds } = yield* Rig
    const databaseUrl = yield* migratedDatabase
    const sql = yield* connect(databaseUrl)
    note("seeding")
    const asked = (yield* seedAgents(sql, AGENTS, 20)).slice(0, ASKED)
    const { url } = yield* startService(databaseUrl)
    const agents = yield* shotsOf(url, asked, "", ({ aid, manifest }, body) => {
      const record = JSON.parse(body) as { readonly aid: string; readonly displayName: string }
      return record.aid === aid && record.displayName === manifest.display_name
    })
    const manifests = yield* shotsOf(
      url,
      asked,
      "/manifest",
      ({ aid, text }, body) => body === text && isManifestOf(aid, body)
    )
    const hello = yield* startHello
    const { rates, timings } = yield* compare({
      agent: { url, connections: CONNECTIONS, shots: agents },
      manifest: { url, connections: CONNECTIONS, shots: manifests },
      hello: helloLoad(hello.url, CONNECTIONS)
    })
    note("primary-key selects")
    const keyed = yield* selects(sql, asked, seconds)
    const empty = { what: "an empty route behind the service's middleware", value: rates.of("hello") }
    return [
      {
        what: "one agent by AID",
        value: rates.of("agent"),
        unit: "/s",
        limit: empty,
        ratio: rates.ratio("agent", "hello"),
        target: { kind: "share", atLeast: 0.4 },
        detail: percentiles(timings.agent.summary())
      },
      {
        what: "its manifest",
        value: rates.of("manifest"),
        unit: "/s",
        limit: empty,
        ratio: rates.ratio("manifest", "hello"),
        target: { kind: "share", atLeast: 0.4 },
        detail: percentiles(timings.manifest.summary())
      },
      {
        what: "one agent by AID",
        value: rates.of("agent"),
        unit: "/s",
        limit: { what: "selects by primary key, one connection", value: keyed }
      }
    ]
  })
}
