import { Context, Duration, Effect, Layer, Option } from "effect"
import type { SqlError } from "effect/sql"
import { Db, onBackground } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { type Lease, Leases, stillHeld } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { Checkpoints } from "./Checkpoints.ts"
import { type Finding, LedgerAudit } from "./LedgerAudit.ts"

/** Rows looked at in one go. */
const CHUNK = 250
/** Rest after a chunk, as a multiple of the time it took: the audit takes about a twentieth of one processor. */
const REST = 19
const MIN_REST_MS = 20
/** Shortest time between the ends of two passes, ms. */
const PASS_EVERY_MS = 600_000
/** Pause while there is nothing to look at, ms. */
const IDLE_MS = 5000
/** Findings of one chunk that are logged one by one. */
const LOGGED = 10

/** What came of one step of the audit. */
export type Step = "more" | "idle"

const report = (findings: ReadonlyArray<Finding>) =>
  Effect.gen(function* () {
    for (const { eventId, fault, positions, seq } of findings.slice(0, LOGGED)) {
      const which = positions === 1 ? `position ${seq}` : `${positions} positions from ${seq} on`
      yield* Effect.logError(`the ledger is not what was logged at ${which}: ${fault}`, { eventId })
    }
    const others = findings.length - LOGGED
    if (others > 0) yield* Effect.logError(`${others} more findings in the same part of the ledger`)
  })

/**
 * Compares the whole ledger with the signed tree again and again, chunk by chunk, and goes on where it stopped, on
 * whatever replica.
 */
export class SelfAudit extends Context.Service<
  SelfAudit,
  {
    /** Looks at the next chunk; `idle` when the last pass is so recent that none is due. */
    readonly runOnce: (lease: Lease) => Effect.Effect<Step, SqlError.SqlError>
  }
>()("cp/log/SelfAudit") {
  static readonly layer = Layer.effect(
    SelfAudit,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const audit = yield* LedgerAudit
      const checkpoints = yield* Checkpoints

      const due = sql<{ readonly seq: number }>`
        select seq::float8 as seq from log_audit
        where log_id = ${LOG_ID} and (seq > 0 or last_completed_at is null
          or last_completed_at < clock_timestamp() - make_interval(secs => ${PASS_EVERY_MS / 1000}::float8))`

      const runOnce = Effect.fn("SelfAudit.runOnce")(function* (lease: Lease) {
        const checkpoint = yield* checkpoints.current
        const [progress] = yield* due
        if (progress === undefined || Option.isNone(checkpoint)) return "idle"
        const { findings, rows, upTo } = yield* audit.inspect(checkpoint.value, {
          after: progress.seq,
          upTo: undefined,
          limit: CHUNK
        })
        const isOwn = yield* audit.isOwn(checkpoint.value)
        if (!isOwn) yield* Effect.logError("the served checkpoint is not signed by the key of the log")
        yield* report(findings)
        const found = findings.reduce((sum, { positions }) => sum + positions, isOwn ? 0 : 1)
        const isLast = rows < CHUNK
        yield* sql`
          update log_audit a set
            seq = ${isLast ? 0 : upTo}::bigint,
            failures = case when ${isLast} then 0 else a.failures + ${found}::bigint end,
            last_failures = case when ${isLast} then a.failures + ${found}::bigint else a.last_failures end,
            last_completed_at = case when ${isLast} then clock_timestamp() else a.last_completed_at end
          where a.log_id = ${LOG_ID} and a.seq = ${progress.seq}::bigint and ${stillHeld(sql, lease)}`
        return isLast ? "idle" : "more"
      })

      return { runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* SelfAudit
      const leases = yield* Leases
      const paced = Effect.fnUntraced(function* (lease: Lease) {
        const [took, step] = yield* Effect.timed(runOnce(lease))
        yield* succeeded("log-audit")
        const rest = Math.max(Duration.toMillis(took) * REST, MIN_REST_MS)
        yield* Effect.sleep(step === "idle" ? IDLE_MS : rest)
      })
      yield* Effect.forkScoped(
        onBackground(leases.hold("log-audit", (lease) => Effect.forever(paced(lease))))
      )
    })
  )
}
