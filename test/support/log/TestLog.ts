import { randomBytes, randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { LogLineage } from "../../../src/events/LogLineage.ts"
import type { NewEvent } from "../../../src/events/model.ts"
import type { Lease } from "../../../src/jobs/Leases.ts"
import { Checkpoints } from "../../../src/log/Checkpoints.ts"
import { Integrator } from "../../../src/log/Integrator.ts"
import { LedgerAudit } from "../../../src/log/LedgerAudit.ts"
import { LogEntries } from "../../../src/log/LogEntries.ts"
import { LogKey } from "../../../src/log/LogKey.ts"
import { LogTiles } from "../../../src/log/LogTiles.ts"
import { LogTrees } from "../../../src/log/LogTrees.ts"
import { Prover } from "../../../src/log/Prover.ts"
import { SelfAudit } from "../../../src/log/SelfAudit.ts"
import { Ledger } from "../events/Ledger.ts"
import { newEvent } from "../events/report.ts"
import { testConfig } from "../TestPlatform.ts"
import type { Hash } from "./naive-tree.ts"

/** The log over a migrated schema of the suite's own, without its loops. */
export const testLog = (env: Readonly<Record<string, string>> = {}) =>
  Layer.mergeAll(Integrator.layer, SelfAudit.layer).pipe(
    Layer.provideMerge(Layer.mergeAll(Checkpoints.layer, LedgerAudit.layer, Prover.layer)),
    Layer.provideMerge(
      Layer.mergeAll(LogEntries.layer, LogKey.layer, LogLineage.layer, LogTiles.layer, LogTrees.layer)
    ),
    Layer.provide(Layer.fresh(testConfig(env))), // besides the one that the ledger has
    Layer.provideMerge(Ledger)
  )

/** Takes the lease of a job from whoever has it. */
export const takeLease = (name: string): Effect.Effect<Lease, never, Db> =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    const holder = randomUUID()
    const [row] = yield* sql<{ readonly term: number }>`
      insert into leases as l (name, holder, term, expires_at)
      values (${name}, ${holder}::uuid, 1, clock_timestamp() + interval '1 hour')
      on conflict (name) do update set holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
      returning term::float8 as term`
    return { name, holder, term: row?.term ?? 0 }
  }).pipe(Effect.orDie)

/** Stores events, and gives their positions. */
export const append = (count: number, over: (n: number) => Partial<NewEvent> = () => ({})) =>
  Effect.gen(function* () {
    const ingest = yield* Ingest
    const events = Array.from({ length: count }, (_, n) => newEvent(over(n)))
    const reporter = { principal: system, receivedAt: Date.now() }
    return (yield* Effect.orDie(ingest.record(reporter, events))).seqs
  })

/** Takes all events there are into the tree. */
export const integrate = Effect.gen(function* () {
  const integrator = yield* Integrator
  const lease = yield* takeLease("log-integrator")
  return yield* integrator.catchUp(lease, yield* integrator.begin(lease))
})

/** The leaf hashes of all rows, in order. */
export const storedLeaves = Effect.gen(function* () {
  const { sql } = yield* Db
  const rows = yield* sql<{ readonly leafHash: Uint8Array }>`select leaf_hash from audit_events order by seq`
  return rows.map(({ leafHash }): Hash => Buffer.from(leafHash))
}).pipe(Effect.orDie)

/** Empties ledger and log, as a new database has them: with an epoch of its own. */
export const emptied = Effect.gen(function* () {
  const { sql } = yield* Db
  const epoch = randomBytes(4).toString("hex")
  yield* sql`truncate audit_events, event_ids, event_orgs, log_tiles, log_witnesses`
  yield* sql`update log_tree set
    size = 0, root = sha256(''), note = null, published_size = 0, published_note = null, published_cosignatures = 0,
    published_at = null, integrated_at = null, dropped_to = 0, first_epoch = ${epoch}, epoch = ${epoch}`
  yield* sql`update log_head set seq = 0, epoch = ${epoch}`
  yield* sql`update log_audit set seq = 0, failures = 0, last_failures = 0, last_completed_at = null`
}).pipe(Effect.orDie)
