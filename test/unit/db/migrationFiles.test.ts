import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pendingMigrations } from "../../../src/db/migrate.ts"
import {
  loadMigrations,
  type Migration,
  MigrationError,
  parseMigration,
  splitStatements
} from "../../../src/db/migrationFiles.ts"

const parsed = (file: string, text = "select 1"): Migration => {
  const result = parseMigration(file, text)
  if (result instanceof MigrationError) throw result
  return result
}

const refused = (result: unknown): string => {
  if (result instanceof MigrationError) return result.message
  throw new Error("was not refused")
}

const applied = (...migrations: ReadonlyArray<Migration>) =>
  migrations.map(({ file, id, sha256 }) => ({ id, name: file, sha256 }))

const withFolder = <A, E>(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Effect.Effect<A, E>
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "migrations-"))
      mkdirSync(join(folder, "manual"))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
      return folder
    }),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

describe("splitStatements", () => {
  it("splits at lines that are exactly the marker", () => {
    assert.deepStrictEqual(splitStatements("create table a ();\n-- statement\ncreate table b ()\n"), [
      "create table a ();",
      "create table b ()"
    ])
  })

  it("leaves semicolons, function bodies and near-markers alone", () => {
    const body = "do $$\nbegin\n  perform 1; -- statement\n  -- statements\n --  statement\nend\n$$"
    assert.deepStrictEqual(splitStatements(body), [body])
  })

  it("drops pieces without SQL", () => {
    assert.deepStrictEqual(splitStatements("-- why\n\n-- statement\nselect 1\n-- statement\n\n-- end\n"), [
      "select 1"
    ])
  })
})

describe("parseMigration", () => {
  it("takes the number from the name", () => {
    assert.strictEqual(parsed("0012_more_tables.sql").id, 12)
  })

  it("gives the same digest for both kinds of line ends and another one for another text", () => {
    const digest = parsed("0001_a.sql", "select 1\n-- statement\nselect 2\n")
    assert.deepStrictEqual(parsed("0001_a.sql", "select 1\r\n-- statement\r\nselect 2\r\n"), digest)
    assert.notStrictEqual(parsed("0001_a.sql", "select 1\n-- statement\nselect 3\n").sha256, digest.sha256)
  })

  it("refuses names without a number, empty files and transaction control", () => {
    assert.include(refused(parseMigration("init.sql", "select 1")), "init.sql")
    assert.include(refused(parseMigration("0001_a.sql", "-- nothing yet\n")), "no statement")
    assert.include(
      refused(parseMigration("0001_a.sql", "select 1\n-- statement\ncommit")),
      "0001_a.sql, statement 2"
    )
  })
})

describe("pendingMigrations", () => {
  const files = ["0001_a.sql", "0002_b.sql", "0003_c.sql"].map((file) => parsed(file))
  it("gives those without a row, in order", () => {
    assert.deepStrictEqual(pendingMigrations(files, applied(parsed("0001_a.sql"))), files.slice(1))
    assert.deepStrictEqual(pendingMigrations(files, applied(...files)), [])
  })

  it("accepts a database that a newer version has taken further", () => {
    assert.deepStrictEqual(pendingMigrations(files, applied(...files, parsed("0004_d.sql"))), [])
  })

  it("refuses a changed text, a missing file and a number below an applied one", () => {
    const changed = applied(parsed("0001_a.sql", "select 2"))
    assert.include(refused(pendingMigrations(files, changed)), "0001_a.sql was changed")
    const withoutFirst = files.slice(1)
    assert.include(refused(pendingMigrations(withoutFirst, applied(parsed("0001_a.sql")))), "0001_a.sql")
    const late = applied(parsed("0001_a.sql"), parsed("0003_c.sql"))
    assert.include(refused(pendingMigrations(files, late)), "0002_b.sql")
  })
})

describe("loadMigrations", () => {
  it.effect("reads .sql files by number and nothing else", () =>
    Effect.gen(function* () {
      const files = {
        "0002_b.sql": "select 2",
        "0001_a.sql": "select 1",
        "README.md": "text",
        "manual/0003_c.sql": "create index concurrently x on y (z)"
      }
      const loaded = yield* withFolder(files, loadMigrations)
      assert.deepStrictEqual(
        loaded.map((migration) => migration.file),
        ["0001_a.sql", "0002_b.sql"]
      )
    })
  )

  it.effect("refuses two files with one number", () =>
    Effect.gen(function* () {
      const files = { "0001_a.sql": "select 1", "0001_b.sql": "select 1" }
      const error = yield* Effect.flip(withFolder(files, loadMigrations))
      assert.include(error.message, "0001_a.sql and 0001_b.sql")
    })
  )

  it.effect("reads the migrations of this checkout", () =>
    Effect.gen(function* () {
      assert.isNotEmpty(yield* loadMigrations())
    })
  )
})
