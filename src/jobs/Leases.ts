import { randomUUID } from "node:crypto"
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import type { SqlError } from "effect/sql"
import { AppConfig } from "../config.ts"
import { BackgroundDb } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"

/** The right to run a job, good until it is lost; its term grows with every change of holder. */
export interface Lease {
  readonly name: string
  readonly holder: string
  readonly term: number
}

/**
 * A condition for the statement by which a holder writes: true while the lease is still its own. The row stays locked
 * until the statement has committed, so no successor can begin in between.
 */
export const stillHeld = (sql: Sql, lease: Lease) => sql`exists (
  select from leases l
  where l.name = ${lease.name} and l.holder = ${lease.holder}::uuid and l.term = ${lease.term}::bigint
    and l.expires_at > clock_timestamp()
  for share)`

/** Leases of background jobs: each job runs on one replica at a time, and moves when that replica dies. */
export class Leases extends Context.Service<
  Leases,
  {
    /**
     * Waits for the lease, then runs the job until it ends or the lease is lost, and begins again; never ends by
     * itself. The lease is renewed at a third of its life and given back when the effect is interrupted.
     */
    readonly hold: <E, R>(
      name: string,
      job: (lease: Lease) => Effect.Effect<unknown, E, R>
    ) => Effect.Effect<never, never, R>
  }
>()("cp/jobs/Leases") {
  static readonly layer = Layer.effect(
    Leases,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const { leaseSecs } = (yield* AppConfig).database
      const holder = randomUUID()
      const renewal = Schedule.spaced(Duration.millis((leaseSecs * 1000) / 3))

      const acquire = Effect.fn("Leases.acquire")(function* (name: string) {
        const [row] = yield* sql<{ readonly term: number }>`
          insert into leases as l (name, holder, term, expires_at)
          values (${name}, ${holder}::uuid, 1, clock_timestamp() + make_interval(secs => ${leaseSecs}::float8))
          on conflict (name) do update
            set holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
            where l.expires_at <= clock_timestamp()
          returning term::float8 as term`
        return row === undefined ? undefined : { name, holder, term: row.term }
      })

      /** Ends when the lease is lost, or could not be renewed in time for us to know. */
      const keep = (lease: Lease): Effect.Effect<void, SqlError.SqlError> =>
        Effect.repeat(
          Effect.map(
            sql`update leases set expires_at = clock_timestamp() + make_interval(secs => ${leaseSecs}::float8)
                where name = ${lease.name} and holder = ${holder}::uuid and term = ${lease.term}::bigint
                  and expires_at > clock_timestamp()
                returning name`,
            (rows) => rows.length === 1
          ),
          { schedule: renewal, while: (renewed) => renewed }
        )

      const release = (lease: Lease) =>
        Effect.ignore(sql`
          update leases set expires_at = clock_timestamp()
          where name = ${lease.name} and holder = ${holder}::uuid and term = ${lease.term}::bigint`)

      const hold = <E, R>(name: string, job: (lease: Lease) => Effect.Effect<unknown, E, R>) =>
        Effect.gen(function* () {
          const lease = yield* acquire(name)
          if (lease === undefined) return
          yield* Effect.raceFirst(job(lease), keep(lease)).pipe(Effect.ensuring(release(lease)))
        }).pipe(
          Effect.catchCause((cause) => Effect.logWarning(`lease ${name} lost`, cause)),
          Effect.repeat(renewal),
          Effect.andThen(Effect.never)
        )

      return { hold }
    })
  )
}
