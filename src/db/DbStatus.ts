import { Context, Deferred, Effect, Layer, Ref, Schedule } from "effect"
import { SqlError } from "effect/sql"
import { describeAddress, DbTarget } from "./DbTarget.ts"
import { findPending, migrate } from "./migrate.ts"
import { loadMigrations, type Migration, type MigrationError } from "./migrationFiles.ts"
import { reasonOf } from "./unavailable.ts"

/** How far the start has come; `ready` is final, whether the database answers afterwards is for `Db.ping` to say. */
export type DbState = "starting" | "database_unavailable" | "migrations_pending" | "ready"

/** Pause before the next look at a database that could not be reached: 250 ms, growing to 5 s. */
const retryUnreachable = Schedule.min([Schedule.exponential("250 millis", 1.7), Schedule.spaced("5 seconds")])

export interface DbStartOptions {
  /** Apply what is pending; otherwise wait until someone else has. */
  readonly autoMigrate: boolean
  /** Folder of the migrations; unset: that of this checkout. */
  readonly folder?: string
  /** Pause in ms between two looks for migrations that someone else has to apply. */
  readonly pollMs?: number
}

/**
 * Brings the database to the state this version needs, in the background: waits for a server that is not there yet,
 * refuses us or does not know the database, however long it takes, and sees to the migrations.
 */
export class DbStatus extends Context.Service<
  DbStatus,
  {
    readonly state: Effect.Effect<DbState>
    /** Done once the database can be worked with; fails when a person has to act on the migrations. */
    readonly ready: Effect.Effect<void, MigrationError>
  }
>()("cp/db/DbStatus") {
  static readonly layer = (options: DbStartOptions) =>
    Layer.effect(
      DbStatus,
      Effect.gen(function* () {
        const target = yield* DbTarget
        const where = describeAddress(target.address)
        const state = yield* Ref.make<DbState>("starting")
        const ready = yield* Deferred.make<void, MigrationError>()

        const become = (next: DbState, message: string) =>
          Effect.flatMap(Ref.getAndSet(state, next), (before) =>
            before === next ? Effect.void : Effect.logInfo(message)
          )
        const pending = (migrations: ReadonlyArray<Migration>) =>
          Effect.tap(findPending(target, migrations), (found) =>
            found.length === 0
              ? Effect.void
              : become(
                  "migrations_pending",
                  options.autoMigrate
                    ? `applying ${found.map((migration) => migration.file).join(", ")}`
                    : `${found.length} migrations are pending; run \`npm run migrate\``
                )
          )

        const attempt = Effect.gen(function* () {
          const migrations = yield* loadMigrations(options.folder)
          while ((yield* pending(migrations)).length > 0)
            yield* options.autoMigrate ? migrate(target, migrations) : Effect.sleep(options.pollMs ?? 2000)
        })

        yield* attempt.pipe(
          Effect.tapError((error) =>
            SqlError.isSqlError(error)
              ? Effect.andThen(
                  Ref.set(state, "database_unavailable"),
                  Effect.logWarning(`database ${where}: ${reasonOf(error)}; trying again`)
                )
              : Effect.void
          ),
          Effect.retry({ schedule: retryUnreachable, while: SqlError.isSqlError }),
          Effect.andThen(become("ready", `database ${where} is ready`)),
          Effect.catchTag("SqlError", Effect.die),
          Deferred.into(ready),
          Effect.forkScoped
        )
        return DbStatus.of({ state: Ref.get(state), ready: Deferred.await(ready) })
      })
    )
}
