import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlClient } from "effect/sql"
import type { Target } from "./DbTarget.ts"
import { type Migration, MigrationError } from "./migrationFiles.ts"
import { connectionConfig, limits } from "./session.ts"
import { databaseUnavailable, reasonOf } from "./unavailable.ts"

/** Longest wait in ms of a migration for a table that others use: a queue behind it would stop the service. */
const LOCK_TIMEOUT_MS = 10_000

/** A migration as the database remembers it. */
export interface Applied {
  readonly id: number
  readonly name: string
  readonly sha256: string
}

/**
 * What is left to do, given what the database has. Rows beyond the newest known migration are those of a newer
 * version that is being rolled out and leave this one working; anything else that does not match is refused.
 */
export const pendingMigrations = (
  migrations: ReadonlyArray<Migration>,
  applied: ReadonlyArray<Applied>
): ReadonlyArray<Migration> | MigrationError => {
  const byId = new Map(migrations.map((migration) => [migration.id, migration]))
  const newestKnown = migrations.at(-1)?.id ?? 0
  let newestApplied = 0
  for (const row of applied) {
    const migration = byId.get(row.id)
    newestApplied = Math.max(newestApplied, row.id)
    if (migration === undefined && row.id < newestKnown)
      return new MigrationError({ message: `${row.name} was applied to this database but the file is gone` })
    if (migration !== undefined && migration.sha256 !== row.sha256)
      return new MigrationError({
        message: `${migration.file} was changed after it had been applied (as ${row.name}, sha256 ${row.sha256}): restore it and put the change into a new migration`
      })
  }
  const done = new Set(applied.map((row) => row.id))
  const pending = migrations.filter((migration) => !done.has(migration.id))
  const late = pending.find((migration) => migration.id < newestApplied)
  return late === undefined
    ? pending
    : new MigrationError({
        message: `${late.file} is older than an applied migration (${newestApplied}): give it the next free number`
      })
}

const readApplied = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [table] = yield* sql<{ readonly found: boolean }>`
    select to_regclass('schema_migrations') is not null as found`
  if (table?.found !== true) return []
  return yield* sql<Applied>`select id, name, sha256 from schema_migrations order by id`
})

const readPending = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  migrations: ReadonlyArray<Migration>
) {
  const pending = pendingMigrations(migrations, yield* readApplied(sql))
  return pending instanceof MigrationError ? yield* pending : pending
})

const apply = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, migration: Migration) {
  for (const [index, statement] of migration.statements.entries()) {
    yield* sql.unsafe(statement).unprepared.pipe(
      Effect.catchIf(
        (error) => !databaseUnavailable(error),
        (cause) =>
          new MigrationError({
            message: `${migration.file}, statement ${index + 1}: ${reasonOf(cause)}`,
            cause
          })
      )
    )
  }
  yield* sql`
    insert into schema_migrations (id, name, sha256) values (${migration.id}, ${migration.file}, ${migration.sha256})`
})

const applyPending = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  migrations: ReadonlyArray<Migration>
) {
  // Two numbers, so that it cannot meet the keys of Db.tryLock; the second keeps schemas apart.
  yield* sql`select pg_advisory_xact_lock(1097430096, hashtext(current_schema()))`
  yield* sql`select set_config('lock_timeout', ${String(LOCK_TIMEOUT_MS)}, true)`
  yield* sql`
    create table if not exists schema_migrations (
      id integer primary key,
      name text not null,
      sha256 text not null,
      applied_at timestamptz not null default now()
    )`
  const pending = yield* readPending(sql, migrations)
  yield* Effect.forEach(pending, (migration) => apply(sql, migration), { discard: true })
  return pending
})

const withConnection = <A, E>(target: Target, f: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  PgClient.makeClient(connectionConfig(target.address, limits.migration, target.searchPath)).pipe(
    Effect.flatMap(f),
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

/** The migrations that the database does not have yet. Takes no lock and writes nothing. */
export const findPending = Effect.fn("migrations.findPending")(
  (target: Target, migrations: ReadonlyArray<Migration>) =>
    withConnection(target, (sql) => readPending(sql, migrations))
)

/**
 * Applies what is pending and answers with it. All of it is one transaction under a lock: of several processes one
 * works and the others find nothing left, and a failure leaves the database as it was. Fails with SqlError when the
 * database cannot be reached or a table stays locked (try again), with MigrationError when a person has to act.
 */
export const migrate = Effect.fn("migrations.migrate")(
  (target: Target, migrations: ReadonlyArray<Migration>) =>
    withConnection(
      target,
      Effect.fnUntraced(function* (sql) {
        const pending = yield* readPending(sql, migrations)
        return pending.length === 0 ? pending : yield* sql.withTransaction(applyPending(sql, migrations))
      })
    )
)
