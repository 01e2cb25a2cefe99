import { Effect } from "effect"
import { verify } from "node:crypto"
import { importEd25519 } from "../../src/aitp/ed25519.ts"
import { type Identity, makeIdentity } from "./agents.ts"
import { fire, type Load, type Shot, warm } from "./load.ts"
import { BenchError, type Workload } from "./model.ts"
import { checkpoint, connect, freshDatabase, type Sql } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { Rates, ROUNDS } from "./rounds.ts"
import { startService } from "./service.ts"
import { merged } from "./statistics.ts"

const CONNECTIONS = 16
/** Manifests that are signed before the clock starts, for each second; more are signed when they are used up. */
const PREPARED_PER_SECOND = 1200
/** The proof of possession and the manifest itself, at enrolment and again at registration. */
const CHECKS = 4
const COMMITS = 2

/** Each turn of a connection enrols somebody new and registers them with the token, which is told. */
const enrolments = (prepared: Array<Identity>, onRegistered: () => void): ReadonlyArray<Shot> => {
  const headers = { "content-type": "application/json" }
  const enrol: Shot = {
    method: "POST",
    path: "/api/registry/enroll",
    headers,
    body: (turn) => {
      const { aid, text } = prepared.pop() ?? makeIdentity("bench.enrol")
      Object.assign(turn, { aid, text })
      return text
    },
    own: () => ({}),
    check: ({ body, status }, turn) => {
      if (status !== 200) return "status"
      const { aid, token } = JSON.parse(body) as { readonly aid: string; readonly token: string }
      turn["token"] = token
      return aid === turn["aid"] ? undefined : "another agent"
    }
  }
  const register: Shot = {
    method: "POST",
    path: "/api/registry/agents",
    headers,
    body: (turn) => turn["text"] ?? "",
    own: (turn) => ({ ...headers, authorization: `Bearer ${turn["token"] ?? ""}` }),
    check: ({ body, status }, turn) => {
      if (status !== 201) return "status"
      onRegistered()
      return (JSON.parse(body) as { readonly aid: string }).aid === turn["aid"] ? undefined : "another agent"
    }
  }
  return [enrol, register]
}

/** Agents/s of nothing but the signature checks and commits of one row, over one connection. */
const bare = Effect.fnUntraced(function* (sql: Sql, seconds: number) {
  yield* sql`create table bench_commits (id bigint generated always as identity primary key, at timestamptz)`
    .unprepared
  const message = Buffer.alloc(32, 7)
  const { raw } = makeIdentity("bench.enrol")
  let count = 0
  const begun = performance.now()
  const worker = Effect.gen(function* () {
    while (performance.now() - begun < seconds * 1000) {
      for (let check = 0; check < CHECKS; check += 1)
        verify(null, message, importEd25519(raw), Buffer.alloc(64, 1))
      for (let commit = 0; commit < COMMITS; commit += 1)
        yield* sql`insert into bench_commits (at) values (clock_timestamp())`
      count += 1
    }
  })
  yield* Effect.all(
    Array.from({ length: CONNECTIONS }, () => worker),
    { concurrency: "unbounded" }
  )
  return (count * 1000) / (performance.now() - begun)
})

const checkRegistered = Effect.fnUntraced(function* (sql: Sql, acknowledged: number) {
  const [row] = yield* sql<{ readonly agents: number; readonly events: number }>`
    select (select count(*) from agents)::float8 as agents,
      (select count(*) from audit_events where type = 'agent.registered')::float8 as events`
  const { agents = 0, events = 0 } = row ?? {}
  if (agents !== events || agents < acknowledged || agents > acknowledged + 2 * CONNECTIONS)
    return yield* Effect.fail(
      new BenchError(
        `${acknowledged} registrations were answered; there are ${agents} agents, ${events} events`
      )
    )
})

const round = Effect.gen(function* () {
  const { note, seconds } = yield* Rig
  const databaseUrl = yield* freshDatabase
  const service = yield* startService(databaseUrl)
  const sql = yield* connect(databaseUrl)
  note("signing manifests")
  const prepared = Array.from({ length: (seconds + 1) * PREPARED_PER_SECOND }, () =>
    makeIdentity("bench.enrol")
  )
  let registered = 0
  const shots = enrolments(prepared, () => void (registered += 1))
  const load: Load = { url: service.url, connections: CONNECTIONS, seconds, shots }
  yield* warm(load)
  yield* checkpoint(sql)
  note("the service")
  const loaded = yield* fire(load)
  yield* service.stop
  yield* checkRegistered(sql, registered)
  yield* checkpoint(sql)
  note("checks and commits alone")
  return {
    rates: { service: loaded.perSecond / 2, bare: yield* bare(sql, seconds) },
    timings: loaded.timings
  }
}).pipe(Effect.scoped)

export const enrolment: Workload = {
  id: "W3",
  title: `Enrol and register with fresh identities, ${CONNECTIONS} connections`,
  run: Effect.gen(function* () {
    const rounds = yield* Effect.forEach(Array.from({ length: ROUNDS }), () => round)
    const rates = new Rates(rounds.map((each) => each.rates))
    const requests = percentiles(merged(rounds.map(({ timings }) => timings)).summary())
    return [
      {
        what: "agents enrolled and registered",
        value: rates.of("service"),
        unit: "/s",
        limit: {
          what: `${CHECKS} signature checks and ${COMMITS} commits of one row each, one thread and one connection`,
          value: rates.of("bare")
        },
        ratio: rates.ratio("service", "bare"),
        target: { kind: "share", atLeast: 0.6 },
        detail: `a request: ${requests}`
      }
    ]
  })
}
