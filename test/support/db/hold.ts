import { Deferred, Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { asAdmin, TestSchema } from "./TestDb.ts"

/**
 * Runs a statement on the schema of the suite in a transaction that is open until what this gives is run. No limit of the
 * service's own sessions ends it.
 */
export const hold = Effect.fnUntraced(function* (
  statement: (sql: SqlClient.SqlClient, schema: string) => Effect.Effect<unknown, SqlError.SqlError>
) {
  const schema = yield* TestSchema
  const [held, ended] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const holder = asAdmin((sql) =>
    statement(sql, schema).pipe(
      Effect.andThen(Deferred.succeed(held, undefined)),
      Effect.andThen(Deferred.await(ended)),
      sql.withTransaction
    )
  )
  yield* Effect.forkChild(holder)
  yield* Deferred.await(held)
  return { letGo: Deferred.succeed(ended, undefined) }
})

/** How many sessions wait for a lock in a statement that matches. */
export const waitingFor = (pattern: string): Effect.Effect<number> =>
  asAdmin(
    (sql) => sql<{ readonly n: number }>`
    select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query ~ ${pattern}`
  ).pipe(
    Effect.map(([row]) => row?.n ?? 0),
    Effect.orDie
  )
