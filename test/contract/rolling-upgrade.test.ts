import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { migrate } from "../../src/db/migrate.ts"
import { loadMigrations } from "../../src/db/migrationFiles.ts"
import { prepare } from "../support/conformance/Prepared.ts"
import { assertNothingFound } from "../support/conformance/run.ts"
import { sceneSettings } from "../support/conformance/scene.ts"
import { triedExamples } from "../support/conformance/try-examples.ts"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { previousReleases, runReleasedSuites } from "../support/service/previous-release.ts"
import { API_KEY, isRemote, Service, spawnService, sqlOn, startOn } from "../support/service/Service.ts"

/** A migration that no version of this tree knows. */
const LATER = { id: 9000, name: "9000_later.sql" }

/** Tables of the service, each once: not the partitions that follow their parents. */
const tables = (sql: SqlClient.SqlClient) =>
  sql<{ readonly name: string }>`
    select relname as name from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not relispartition`

/**
 * What the next version may do to the schema while this one still runs: further columns in every table, nullable and
 * with a default, a further table, and the row that says so.
 */
const expand = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const found = yield* tables(sql)
  assert.isAbove(found.length, 20)
  for (const { name } of found) {
    yield* sql`
      alter table ${sql(name)} add column later_text text, add column later_count integer not null default 0`
  }
  yield* sql`create table later_things (id uuid primary key, thing text not null)`
  yield* sql`
    insert into schema_migrations (id, name, sha256) values (${LATER.id}, ${LATER.name}, ${"0".repeat(64)})`
})

/** Every documented operation does on this replica what its examples say. */
const everythingWorks = (url: string) =>
  Effect.gen(function* () {
    assertNothingFound(yield* triedExamples(yield* prepare))
  }).pipe(Effect.provideService(Service, { url, apiKey: API_KEY }))

/** The database of this URL as the migrator wants it. */
const targetOf = (url: string) => ({
  address: { url: Redacted.make(url) },
  requestConnections: 2,
  backgroundConnections: 1
})

const MINUTES = 60_000

describe.skipIf(isRemote)("a rolling upgrade", () => {
  it.live(
    "leaves replicas of this version working on the schema of the next one, running or started anew",
    () =>
      Effect.gen(function* () {
        const databaseUrl = yield* freshDatabase
        const running = yield* startOn(databaseUrl, sceneSettings)
        yield* everythingWorks(running.url)
        yield* expand(yield* sqlOn(databaseUrl))
        yield* everythingWorks(running.url)
        for (const AUTO_MIGRATE of ["true", "false"]) {
          const { service, url } = yield* startOn(databaseUrl, { ...sceneSettings, AUTO_MIGRATE })
          yield* everythingWorks(url)
          yield* service.stop
        }
        assert.notInclude(running.service.log(), '"level":"error"')
      }),
    2 * MINUTES
  )

  it.live("keeps a replica back from the schema of the version before until somebody has migrated", () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const migrations = yield* loadMigrations()
      yield* migrate(targetOf(databaseUrl), migrations.slice(0, -1))
      const service = yield* spawnService({ DATABASE_URL: databaseUrl, AUTO_MIGRATE: "false" })
      const here = { url: yield* service.listening, apiKey: API_KEY }
      const readiness = sendTo(here, "/api/readyz")
      const waiting = yield* eventually(readiness, ({ text }) => text.includes("migrations_pending"))
      assert.strictEqual(waiting.status, 503)
      assertRefused(yield* sendTo(here, "/api/sessions", { key: true }), 503, "UNAVAILABLE")
      yield* migrate(targetOf(databaseUrl), migrations)
      yield* eventually(readiness, ({ status }) => status === 200)
      assert.strictEqual((yield* sendTo(here, "/api/sessions", { key: true })).status, 200)
    })
  )

  for (const AUTO_MIGRATE of ["false", "true"]) {
    it.live(
      `ends a replica whose own migration is missing below a newer one (AUTO_MIGRATE=${AUTO_MIGRATE})`,
      () =>
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const migrations = yield* loadMigrations()
          const missing = migrations.at(-1)
          yield* migrate(targetOf(databaseUrl), migrations.slice(0, -1))
          const sql = yield* sqlOn(databaseUrl)
          yield* sql`
          insert into schema_migrations (id, name, sha256) values (${LATER.id}, ${LATER.name}, ${"0".repeat(64)})`
          const service = yield* spawnService({ DATABASE_URL: databaseUrl, AUTO_MIGRATE })
          const { code } = yield* service.ended
          assert.strictEqual(code, 1)
          assert.include(service.log(), `${missing?.file} is older than an applied migration (${LATER.id})`)
          assert.strictEqual(
            (yield* sql`select 1 from schema_migrations where id = ${missing?.id}`).length,
            0
          )
        })
    )
  }

  /*
   * From the first release on: the code of the last one, as its tag has it, passes contract suites that it was released
   * with on databases that this tree has migrated. Before it, and in a clone without tags, there is no such test: whoever
   * releases tags the commit `v<major>.<minor>.<patch>`, and CI fetches tags.
   */
  for (const tag of previousReleases()) {
    it.live(
      `leaves replicas of ${tag} working on the schema of this version`,
      () =>
        Effect.gen(function* () {
          const { code, output } = yield* runReleasedSuites(tag)
          assert.strictEqual(code, 0, output)
        }),
      15 * MINUTES
    )
  }
})
