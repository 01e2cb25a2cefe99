import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { AppConfig } from "../src/config.ts"
import { describeAddress, DbTarget } from "../src/db/DbTarget.ts"
import { migrate } from "../src/db/migrate.ts"
import { loadMigrations } from "../src/db/migrationFiles.ts"
import { reasonOf } from "../src/db/unavailable.ts"
import { databaseFromConfig } from "../src/embedded/databaseFromConfig.ts"

/** Applies the pending migrations to the database of the environment, once; exit code 1 when that fails. */
const program = Effect.gen(function* () {
  const target = yield* DbTarget
  const where = describeAddress(target.address)
  const applied = yield* migrate(target, yield* loadMigrations()).pipe(
    Effect.catchTag("SqlError", (error) => Effect.fail({ message: `${where}: ${reasonOf(error)}` }))
  )
  for (const migration of applied) yield* Effect.logInfo(`applied ${migration.file}`)
  yield* Effect.logInfo(`${where}: ${applied.length} applied, nothing pending`)
}).pipe(
  Effect.provide(databaseFromConfig.pipe(Layer.provide(AppConfig.layer))),
  Effect.tapError((error) => Effect.logError(error.message))
)

NodeRuntime.runMain(program, { disableErrorReporting: true })
