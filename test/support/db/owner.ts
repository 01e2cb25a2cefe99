import { PgClient } from "@effect/sql-pg"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Redacted } from "effect"
import { startEmbeddedPostgres } from "../../../src/embedded/EmbeddedPostgres.ts"

/**
 * A process that owns an embedded server, as the service does: `node owner.ts <directory> [state folder]`. It writes
 * one JSON line when the server is there and one when it stops, after a last query.
 */
const [directory = "", stateFolder] = process.argv.slice(2)
const say = (line: object) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

const main = Effect.gen(function* () {
  const begin = performance.now()
  const server = yield* startEmbeddedPostgres({
    directory,
    ...(stateFolder === undefined ? {} : { stateFolder })
  })
  const ms = Math.round(performance.now() - begin)
  const secret = yield* server.secrets.getOrCreate("seed", () => crypto.randomUUID())
  return yield* Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const rows =
      yield* sql`select current_setting('data_directory') as data, current_setting('fsync') as fsync`
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(Effect.exit(sql`select 1`), (last) => say({ event: "stopping", lastQuery: last._tag }))
    )
    const { home, pid, url } = server
    yield* say({ event: "started", ms, url: Redacted.value(url), home, pid, secret, ...rows[0] })
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(PgClient.layer(server.address)))
}).pipe(
  Effect.scoped,
  Effect.tapError((error) => say({ event: "failed", message: error.message }))
)

NodeRuntime.runMain(main, { disableErrorReporting: true })
