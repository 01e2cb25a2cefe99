import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, type Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { migrate } from "../../src/db/migrate.ts"
import { loadMigrations } from "../../src/db/migrationFiles.ts"
import { startEmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Rig } from "./Rig.ts"

/** One connection to a database, until the scope closes. */
export const connect = (url: string) =>
  PgClient.makeClient({ url: Redacted.make(url), connectTimeout: "10 seconds" }).pipe(
    Effect.provide(Reactivity.layer)
  )

export type Sql = Effect.Success<ReturnType<typeof connect>>

const once = <A, E, R>(url: string, f: (sql: Sql) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.flatMap(connect(url), f))

/** A folder of this run. Root's server account may pass through it. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "aitp-bench-"))
    chmodSync(folder, 0o711)
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
)

/** The server of `DATABASE_URL`, else an own one with its data in `folder`; the latter runs until the scope closes. */
export const startServer = Effect.fnUntraced(function* (folder: string) {
  const given = process.env["DATABASE_URL"] ?? ""
  const url =
    given === ""
      ? Redacted.value((yield* startEmbeddedPostgres({ directory: join(folder, "postgres") })).url)
      : given
  const [row] = yield* once(
    url,
    (sql) => sql<{ readonly version: string; readonly durable: string }>`
      select 'Postgres ' || split_part(current_setting('server_version'), ' ', 1) as version,
        concat_ws(', ', 'fsync ' || current_setting('fsync'), 'synchronous_commit ' || current_setting('synchronous_commit'),
          'shared_buffers ' || current_setting('shared_buffers')) as durable`
  )
  const kind = given === "" ? "embedded" : "given"
  return { url, postgres: row?.version ?? "Postgres", database: `${kind}; ${row?.durable ?? ""}` }
})

/** The URL of an empty database, which is dropped when the scope closes. */
export const freshDatabase = Effect.gen(function* () {
  const { serverUrl } = yield* Rig
  return yield* Effect.acquireRelease(
    Effect.suspend(() => {
      const name = `aitp_bench_${randomBytes(6).toString("hex")}`
      const url = new URL(serverUrl)
      url.pathname = `/${name}`
      return Effect.as(
        once(serverUrl, (sql) => sql`create database ${sql(name)}`.unprepared),
        url.href
      )
    }),
    (url) => {
      const name = new URL(url).pathname.slice(1)
      return Effect.orDie(once(serverUrl, (sql) => sql`drop database ${sql(name)} with (force)`.unprepared))
    }
  )
})

/** The same with the service's tables in it, for what is seeded before the service starts. */
export const migratedDatabase = Effect.gen(function* () {
  const url = yield* freshDatabase
  const target = { address: { url: Redacted.make(url) }, requestConnections: 1, backgroundConnections: 1 }
  yield* migrate(target, yield* loadMigrations())
  return url
})

/** Starts both sides of a comparison alike: the next change to any page is written whole to the log. */
export const checkpoint = (sql: Sql) => Effect.ignore(sql`checkpoint`.unprepared)
