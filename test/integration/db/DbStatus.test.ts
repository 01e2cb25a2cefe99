import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, References } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DbStatus, type DbStartOptions } from "../../../src/db/DbStatus.ts"
import { DbTarget, type Target } from "../../../src/db/DbTarget.ts"
import { migrate } from "../../../src/db/migrate.ts"
import { loadMigrations } from "../../../src/db/migrationFiles.ts"
import { eventually } from "../../support/db/eventually.ts"
import { asAdmin, freshDatabase, freshSchema, target } from "../../support/db/TestDb.ts"

const folder = (text: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "migrations-"))
      writeFileSync(join(path, "0001_a.sql"), text)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )

const started = (at: Target, options: DbStartOptions) =>
  Effect.map(
    Layer.build(DbStatus.layer(options).pipe(Layer.provide(Layer.succeed(DbTarget, at)))),
    (context) => Context.get(context, DbStatus)
  ).pipe(Effect.provideService(References.MinimumLogLevel, "None"))

it.live("migrates an empty database and is ready", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const status = yield* started(target(schema), {
      autoMigrate: true,
      folder: yield* folder("create table a ()")
    })
    yield* status.ready
    assert.strictEqual(yield* status.state, "ready")
    yield* asAdmin((sql) => sql`select from ${sql(`${schema}.a`)}`)
  })
)

it.live("waits for a database that does not exist yet", () =>
  Effect.gen(function* () {
    const url = yield* freshDatabase
    const name = new URL(url).pathname.slice(1)
    yield* asAdmin((sql) => sql`alter database ${sql(name)} rename to ${sql(`${name}_later`)}`.unprepared)
    const at = { ...target("public"), address: { url: Redacted.make(url) } }
    const status = yield* started(at, { autoMigrate: true, folder: yield* folder("create table a ()") })
    yield* eventually(status.state, (state) => state === "database_unavailable")
    yield* asAdmin((sql) => sql`alter database ${sql(`${name}_later`)} rename to ${sql(name)}`.unprepared)
    yield* status.ready
  })
)

it.live("waits for migrations that someone else has to apply", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const migrations = yield* folder("create table a ()")
    const status = yield* started(target(schema), { autoMigrate: false, folder: migrations, pollMs: 20 })
    yield* eventually(status.state, (state) => state === "migrations_pending")
    yield* migrate(target(schema), yield* loadMigrations(migrations))
    yield* status.ready
    assert.strictEqual(yield* status.state, "ready")
  })
)

it.live("gives up when a person has to act on the migrations", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const status = yield* started(target(schema), {
      autoMigrate: true,
      folder: yield* folder("create tabel a ()")
    })
    const error = yield* Effect.flip(status.ready)
    assert.include(error.message, "0001_a.sql, statement 1")
    assert.isTrue(Exit.isFailure(yield* Effect.exit(status.ready)))
  })
)
