import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlClient } from "effect/sql"
import { randomBytes } from "node:crypto"
import { inject } from "vitest"
import { Db } from "../../../src/db/Db.ts"
import { DbTarget, type Target } from "../../../src/db/DbTarget.ts"
import { migrate } from "../../../src/db/migrate.ts"
import { loadMigrations } from "../../../src/db/migrationFiles.ts"

const uniqueName = () => `t_${process.pid}_${randomBytes(5).toString("hex")}`

/** Runs `f` as superuser of the test server, in the database of its URL. */
export const asAdmin = <A, E, R>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, R>) =>
  PgClient.makeClient({ url: Redacted.make(inject("postgresUrl")), connectTimeout: "10 seconds" }).pipe(
    Effect.flatMap(f),
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

/** An empty schema until the scope closes, then dropped with all that is in it. */
export const freshSchema = Effect.acquireRelease(
  Effect.suspend(() => {
    const schema = uniqueName()
    return Effect.as(
      asAdmin((sql) => sql`create schema ${sql(schema)}`),
      schema
    )
  }),
  (schema) => Effect.orDie(asAdmin((sql) => sql`drop schema ${sql(schema)} cascade`))
)

/**
 * The URL of an empty database until the scope closes; about 40 ms. For suites that must be alone with their
 * notifications or sessions, such as several replicas that are killed.
 */
export const freshDatabase = Effect.acquireRelease(
  Effect.suspend(() => {
    const database = uniqueName()
    const url = new URL(inject("postgresUrl"))
    url.pathname = `/${database}`
    return Effect.as(
      asAdmin((sql) => sql`create database ${sql(database)}`.unprepared),
      url.href
    )
  }),
  (url) => {
    const database = new URL(url).pathname.slice(1)
    return Effect.orDie(asAdmin((sql) => sql`drop database ${sql(database)} with (force)`.unprepared))
  }
)

/** The pools a suite gets; small, because suites run side by side on one server. */
export const target = (schema: string): Target => ({
  address: { url: Redacted.make(inject("postgresUrl")) },
  requestConnections: 10,
  backgroundConnections: 3,
  searchPath: schema
})

/** The schema of the suite. */
export class TestSchema extends Context.Service<TestSchema, string>()("cp/test/TestSchema") {}

const migrated = Layer.effectContext(
  Effect.gen(function* () {
    const schema = yield* freshSchema
    yield* migrate(target(schema), yield* loadMigrations())
    return Context.make(TestSchema, schema).pipe(Context.add(DbTarget, target(schema)))
  })
)

/** `Db`, `BackgroundDb`, `DbTarget` and `TestSchema` over a migrated schema of the suite's own, dropped at its end. */
export const TestDb = Layer.fresh(Db.layer.pipe(Layer.provideMerge(migrated)))
