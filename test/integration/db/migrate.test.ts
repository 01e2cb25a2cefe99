import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { migrate } from "../../../src/db/migrate.ts"
import {
  loadMigrations,
  type Migration,
  MigrationError,
  parseMigration
} from "../../../src/db/migrationFiles.ts"
import { asAdmin, freshSchema, target } from "../../support/db/TestDb.ts"

const parsed = (file: string, ...statements: ReadonlyArray<string>): Migration => {
  const result = parseMigration(file, statements.join("\n-- statement\n"))
  if (result instanceof MigrationError) throw result
  return result
}

const first = parsed("0001_first.sql", "create table first (n integer)", "insert into first values (1)")
const second = parsed("0002_second.sql", "create table second (n integer)")

const tables = (schema: string) =>
  Effect.map(
    asAdmin(
      (sql) => sql<{ readonly name: string }>`
        select table_name as name from information_schema.tables where table_schema = ${schema} order by 1`
    ),
    (rows) => rows.map((row) => row.name)
  )

const files = (migrations: ReadonlyArray<Migration>) => migrations.map((migration) => migration.file)

it.effect("applies what is pending, once, and records it", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    assert.deepStrictEqual(files(yield* migrate(target(schema), [first])), ["0001_first.sql"])
    assert.deepStrictEqual(files(yield* migrate(target(schema), [first, second])), ["0002_second.sql"])
    assert.deepStrictEqual(yield* migrate(target(schema), [first, second]), [])
    assert.deepStrictEqual(yield* tables(schema), ["first", "schema_migrations", "second"])
    const rows = yield* asAdmin(
      (sql) => sql`
        select id, name, sha256, applied_at <= now() as dated from ${sql(`${schema}.schema_migrations`)} order by id`
    )
    assert.deepStrictEqual(
      rows,
      [first, second].map(({ file, id, sha256 }) => ({ id, name: file, sha256, dated: true }))
    )
  })
)

it.effect("lets one of many processes apply them", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const once = migrate(target(schema), [first, second])
    const results = yield* Effect.all(
      Array.from({ length: 6 }, () => once),
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual(results.flatMap(files), ["0001_first.sql", "0002_second.sql"])
  })
)

it.effect("leaves nothing behind when one fails, and says where", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const broken = parsed(
      "0003_broken.sql",
      "create table third (n integer)",
      "create table third (n integer)"
    )
    const error = yield* Effect.flip(migrate(target(schema), [first, second, broken]))
    assert.strictEqual(error.message, '0003_broken.sql, statement 2: relation "third" already exists')
    assert.deepStrictEqual(yield* tables(schema), [])
  })
)

it.effect("refuses an applied migration whose text changed and applies nothing", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    yield* migrate(target(schema), [first])
    const changed = parsed("0001_first.sql", "create table first (n bigint)")
    const error = yield* Effect.flip(migrate(target(schema), [changed, second]))
    assert.include(error.message, "0001_first.sql was changed")
    assert.deepStrictEqual(yield* tables(schema), ["first", "schema_migrations"])
  })
)

it.effect("runs function bodies and blocks", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const body = "create function one() returns integer language plpgsql as $$\nbegin\n  return 1;\nend\n$$;"
    const block = "do $$\nbegin\n  perform one();\n  execute 'create table made ()';\nend\n$$;"
    yield* migrate(target(schema), [parsed("0001_code.sql", body, block)])
    assert.include(yield* tables(schema), "made")
  })
)

it.effect("brings an empty schema to the present version", () =>
  Effect.gen(function* () {
    const schema = yield* freshSchema
    const migrations = yield* loadMigrations()
    assert.deepStrictEqual(yield* migrate(target(schema), migrations), migrations)
    assert.deepStrictEqual(yield* migrate(target(schema), migrations), [])
  })
)
