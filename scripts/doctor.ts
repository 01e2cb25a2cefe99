import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Data, Effect, Option, Redacted } from "effect"
import { AppConfig } from "../src/config.ts"
import { type Applied, pendingMigrations } from "../src/db/migrate.ts"
import { loadMigrations, MigrationError } from "../src/db/migrationFiles.ts"
import { reasonOf } from "../src/db/unavailable.ts"

/**
 * Looks at what the service depends on, as the environment names it, and says what is wrong: the configuration, the
 * database (version, role, migrations, pooling, clock) and the public address of a running service (certificate, clock,
 * a proxy that holds the event stream back). Changes nothing. Exit code 1 when something will not work.
 */

class Finding extends Data.TaggedError("Finding")<{ readonly message: string; readonly fatal: boolean }> {}

const wrong = (message: string) => Effect.fail(new Finding({ message, fatal: true }))
const doubtful = (message: string) => Effect.fail(new Finding({ message, fatal: false }))

/** Longest wait for an answer. */
const PATIENCE = "5 seconds"
/** Clocks further apart than this confuse times of life. */
const MAX_SKEW_MS = 2000
const OLDEST_POSTGRES = 15

let failed = false

/** Prints what a check found; it never ends the others. */
const check = <E extends { readonly message: string }, R>(name: string, look: Effect.Effect<string, E, R>) =>
  Effect.match(look, {
    onSuccess: (found) => console.log(`ok       ${name}: ${found}`),
    onFailure: (error) => {
      const fatal = !(error instanceof Finding) || error.fatal
      failed ||= fatal
      console.log(`${fatal ? "FAILED  " : "warning "} ${name}: ${error.message}`)
    }
  })

const skew = (name: string, theirs: number, sent: number) => {
  const off = Math.round(theirs - (sent + Date.now()) / 2)
  const text = `${Math.abs(off)} ms ${off < 0 ? "behind" : "ahead"}`
  return Math.abs(off) > MAX_SKEW_MS ? wrong(`the clock of ${name} is ${text}`) : Effect.succeed(text)
}

const database = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [server] = yield* sql<{
    version: number
    text: string
    superuser: boolean
    creates: boolean
    readOnly: boolean
    migrated: boolean
  }>`
    select
      current_setting('server_version_num')::int / 10000 as version, current_setting('server_version') as text,
      (select rolsuper from pg_roles where rolname = current_user) as superuser,
      has_schema_privilege(current_schema(), 'create') as creates,
      pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean as "readOnly",
      to_regclass('schema_migrations') is not null as migrated`
  if (server === undefined) return
  yield* check(
    "database version",
    server.version < OLDEST_POSTGRES
      ? wrong(`Postgres ${server.text}; ${OLDEST_POSTGRES} or newer is needed`)
      : Effect.succeed(`Postgres ${server.text}`)
  )
  yield* check(
    "database role",
    server.readOnly
      ? wrong("this server takes no writes: a standby, or read-only by default")
      : !server.creates
        ? wrong("the role may not create tables in its schema, which migrations do")
        : server.superuser
          ? doubtful("the role is a superuser; one that owns its database is enough")
          : Effect.succeed("may create tables, is no superuser")
  )
  yield* check(
    "migrations",
    Effect.gen(function* () {
      const applied = server.migrated
        ? yield* sql<Applied>`select id, name, sha256 from schema_migrations order by id`
        : []
      const pending = pendingMigrations(yield* loadMigrations(), applied)
      if (pending instanceof MigrationError) return yield* pending
      return pending.length === 0
        ? "nothing pending"
        : `${pending.length} pending; they run at the next start`
    })
  )
  yield* check(
    "database clock",
    Effect.gen(function* () {
      const sent = Date.now()
      const [row] = yield* sql<{
        now: number
      }>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`
      return yield* skew("the database", row?.now ?? Number.NaN, sent)
    })
  )
})

/** A session that notices what it listens for. Behind a pooler that lends sessions by transaction it does not. */
const notifications = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const pids = new Set<number>()
  for (let count = 0; count < 5; count += 1) {
    const [row] = yield* sql<{ pid: number }>`select pg_backend_pid() as pid`.unprepared
    if (row !== undefined) pids.add(row.pid)
  }
  yield* sql`set application_name = 'aitp-control-plane doctor'`.unprepared
  const [kept] = yield* sql<{ name: string }>`select current_setting('application_name') as name`.unprepared
  return pids.size > 1 || kept?.name !== "aitp-control-plane doctor"
    ? yield* doubtful(
        "a pooler lends sessions by transaction: set DATABASE_LISTEN_URL to a direct connection, or events reach the other replicas only once a second"
      )
    : "sessions are kept"
})

const get = (url: string, key?: string) =>
  Effect.tryPromise({
    try: (signal) =>
      fetch(url, { signal, headers: key === undefined ? {} : { authorization: `Bearer ${key}` } }),
    catch: (error) =>
      new Finding({
        fatal: true,
        message: error instanceof Error ? String(error.cause ?? error.message) : "no answer"
      })
  })

const publicUrl = Effect.fn(function* (baseUrl: string) {
  const sent = Date.now()
  const response = yield* get(`${baseUrl}/api/health`)
  if (!response.ok) return yield* wrong(`${baseUrl}/api/health answers ${response.status}`)
  const answered = Date.parse(response.headers.get("date") ?? "")
  // `Date` is cut to the second.
  if (Number.isFinite(answered)) yield* skew(baseUrl, answered + 500, sent)
  return baseUrl.startsWith("https:") ? "answers" : yield* doubtful(`${baseUrl} answers, but is not https`)
})

/** The first bytes of a stream come at once, unless something on the way waits for more. */
const stream = Effect.fn(function* (baseUrl: string, key: string | undefined) {
  const begun = Date.now()
  const response = yield* get(`${baseUrl}/api/events/stream?last_event_id=latest`, key)
  if (!response.ok) return yield* wrong(`the stream answers ${response.status}`)
  const reader = response.body?.getReader()
  if (reader === undefined) return yield* wrong("the stream has no body")
  const first = yield* Effect.tryPromise(() => reader.read()).pipe(
    Effect.timeoutOption("2 seconds"),
    Effect.ensuring(Effect.promise(() => reader.cancel())),
    Effect.orDie
  )
  return Option.isNone(first)
    ? yield* wrong(
        "no byte of the stream within 2 s: a proxy holds it back; switch its response buffering off"
      )
    : `first bytes after ${Date.now() - begun} ms`
})

const reach = (url: Redacted.Redacted<string>) =>
  PgClient.layer({ url, maxConnections: 1, connectTimeout: PATIENCE })

const limited = <E>(look: Effect.Effect<string, E>) =>
  Effect.timeoutOrElse(look, { duration: PATIENCE, orElse: () => wrong("no answer within 5 s") })

const program = Effect.gen(function* () {
  const { database: target, keys, server } = yield* AppConfig
  const [key] = keys.apiKeys
  if (target.url === undefined) {
    console.log("ok       database: the embedded one, which the service starts itself")
  } else {
    yield* check(
      "database",
      Effect.as(database, "reachable").pipe(
        Effect.provide(reach(target.url)),
        Effect.mapError((error) => ({ message: reasonOf(error) }))
      )
    )
    yield* check(
      "notifications",
      notifications.pipe(
        Effect.provide(reach(target.listenUrl ?? target.url)),
        Effect.catchTag("SqlError", (error) => wrong(reasonOf(error)))
      )
    )
  }
  yield* check("public address", limited(publicUrl(server.baseUrl)))
  yield* check("event stream", limited(stream(server.baseUrl, key === undefined ? key : Redacted.value(key))))
})

NodeRuntime.runMain(
  program.pipe(
    Effect.provide(AppConfig.layer),
    Effect.tapError((error) => Effect.sync(() => console.log(`FAILED   configuration: ${error.message}`))),
    Effect.andThen(
      Effect.sync(() => {
        if (failed) process.exitCode = 1
      })
    )
  ),
  { disableErrorReporting: true }
)
