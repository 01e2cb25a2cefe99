import { Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { type Family, PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"

interface Row {
  readonly size: number
  readonly publishedSize: number
  readonly cosignatures: number
  readonly checkpointAge: number | null
  readonly behind: number
  readonly lag: number
  readonly auditSeq: number
  readonly failures: number
  readonly auditAge: number | null
}

interface WitnessRow {
  readonly name: string
  readonly behind: number
  readonly failing: boolean
}

const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
  name: `${PREFIX}${name}`,
  help,
  type: "gauge",
  samples
})

const known = (value: number | null): Family["samples"] => (value === null ? [] : [{ value }])

/** Series about the log that are read from the database; cluster-wide, so they must not be summed over replicas. */
export const LogGauges = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { witnesses, witnessQuorum } = (yield* AppConfig).log
      const { sql } = yield* Db
      const metrics = yield* Metrics

      metrics.register(
        Effect.map(
          sql<Row>`
            select
              t.size::float8 as size, t.published_size::float8 as published_size, t.published_cosignatures as cosignatures,
              extract(epoch from clock_timestamp() - t.published_at)::float8 as checkpoint_age,
              (h.seq - t.size)::float8 as behind,
              coalesce(extract(epoch from clock_timestamp() - e.created_at), 0)::float8 as lag,
              a.seq::float8 as audit_seq, greatest(a.failures, a.last_failures)::float8 as failures,
              extract(epoch from clock_timestamp() - a.last_completed_at)::float8 as audit_age
            from log_tree t
            join log_head h on h.log_id = t.log_id
            join log_audit a on a.log_id = t.log_id
            left join lateral (
              select e.created_at from audit_events e where e.log_id = t.log_id and e.seq = t.size + 1 offset 0) as e on true
            where t.log_id = ${LOG_ID}`,
          ([row]) =>
            row === undefined
              ? []
              : [
                  gauge("log_tree_size", "Leaves of the newest signed tree.", [{ value: row.size }]),
                  gauge("log_checkpoint_size", "Leaves of the checkpoint that is served.", [
                    { value: row.publishedSize }
                  ]),
                  gauge(
                    "log_checkpoint_age_seconds",
                    "Time since the served checkpoint was published; it stays the same while no events come.",
                    known(row.checkpointAge)
                  ),
                  gauge("log_integration_lag_events", "Events that are not in the tree yet.", [
                    { value: row.behind }
                  ]),
                  gauge(
                    "log_integration_lag_seconds",
                    "Age of the oldest event that is not in the tree yet.",
                    [{ value: row.lag }]
                  ),
                  gauge("log_witness_cosignatures", "Cosignatures on the served checkpoint.", [
                    { value: row.cosignatures }
                  ]),
                  gauge("log_witness_quorum", "Cosignatures that make a checkpoint count as witnessed.", [
                    { value: witnessQuorum }
                  ]),
                  gauge("log_witness_quorum_met", "Whether the served checkpoint has as many.", [
                    { value: row.cosignatures >= witnessQuorum ? 1 : 0 }
                  ]),
                  gauge("log_audit_position", "Position up to which the running audit has come.", [
                    { value: row.auditSeq }
                  ]),
                  gauge("log_audit_failures", "Positions at which the ledger is not what was logged.", [
                    { value: row.failures }
                  ]),
                  gauge(
                    "log_audit_age_seconds",
                    "Time since the whole ledger was last audited; absent before the first time.",
                    known(row.auditAge)
                  )
                ]
        )
      )
      if (witnesses.length === 0) return
      const vkeys = witnesses.map(({ vkey }) => vkey)
      metrics.register(
        Effect.map(
          sql<WitnessRow>`
            select split_part(w.vkey, '+', 1) as name, (t.size - w.size)::float8 as behind, w.failure is not null as failing
            from log_witnesses w join log_tree t on t.log_id = w.log_id
            where w.log_id = ${LOG_ID} and w.vkey = any(${vkeys}::text[])`,
          (rows) => [
            gauge(
              "log_witness_behind",
              "Leaves of the newest tree that a witness has not cosigned.",
              rows.map(({ behind, name }) => ({ labels: { witness: name }, value: behind }))
            ),
            gauge(
              "log_witness_failing",
              "Whether the last request to a witness failed.",
              rows.map(({ failing, name }) => ({ labels: { witness: name }, value: failing ? 1 : 0 }))
            )
          ]
        )
      )
    })
  )
}
