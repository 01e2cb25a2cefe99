import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, References } from "effect"
import { SqlError } from "effect/sql"
import { Db } from "../../../src/db/Db.ts"
import { DbTarget } from "../../../src/db/DbTarget.ts"
import { databaseUnavailable } from "../../../src/db/unavailable.ts"
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../../src/embedded/EmbeddedPostgres.ts"
import { readPostmaster } from "../../../src/embedded/postmaster.ts"
import { eventually } from "../../support/db/eventually.ts"
import { dataFolder } from "../../support/db/owners.ts"

/** A server of this file's own, because it is stopped; its launcher starts it again within about a second. */
class Server extends Context.Service<Server, EmbeddedPostgres>()("cp/test/Server") {
  static readonly layer = Layer.effect(
    Server,
    Effect.gen(function* () {
      const directory = yield* dataFolder
      return yield* startEmbeddedPostgres({ directory, settings: { max_connections: "12" } })
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )
}

/** More connections than the server gives, through its unix socket. */
const Target = Layer.effect(
  DbTarget,
  Effect.map(Server, ({ address }) => ({ address, requestConnections: 20, backgroundConnections: 2 }))
)
const Database = Db.layer.pipe(Layer.provide(Target), Layer.provideMerge(Server.layer))

const postmaster = Effect.map(Server, ({ home }) => readPostmaster(`${home}/cluster/data`))

/** Sends a signal to the server process, as an operator's stop or a crash would; gives its number. */
const signal = Effect.fnUntraced(function* (name: NodeJS.Signals) {
  const running = yield* postmaster
  if (running === undefined) return yield* Effect.die(new Error("the server does not run"))
  process.kill(running.pid, name)
  return running.pid
})

// Real time and processes.
layer(Database, { excludeTestServices: true, timeout: "60 seconds" })("a server that", (it) => {
  it.effect("is reached through its socket gives the sessions their limits", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const rows = yield* sql`
        select inet_server_addr() is null as socket, current_setting('statement_timeout') as statement,
          current_setting('idle_in_transaction_session_timeout') as idle, current_setting('lock_timeout') as lock`
      assert.deepStrictEqual(rows, [{ socket: true, statement: "15s", idle: "2s", lock: "5s" }])
    })
  )

  for (const name of ["SIGINT", "SIGQUIT", "SIGKILL"] as const)
    it.effect(`ends by ${name} is unavailable, and used again when it is back`, () =>
      Effect.gen(function* () {
        const { ping, sql, withTransaction } = yield* Db
        const running = yield* Effect.forkChild(Effect.flip(sql`select pg_sleep(60)`))
        const inTransaction = yield* Effect.forkChild(Effect.flip(withTransaction(sql`select pg_sleep(60)`)))
        yield* eventually(
          sql`select from pg_stat_activity where query like '%sleep%' and state = 'active'`,
          (rows) => rows.length >= 2
        )
        const old = yield* signal(name)
        const errors = [yield* Fiber.join(running), yield* Fiber.join(inTransaction)]
        const whileDown: Array<SqlError.SqlError> = []
        yield* eventually(
          ping.pipe(
            Effect.tapError((error) => Effect.sync(() => whileDown.push(error))),
            Effect.andThen(postmaster)
          ),
          (server) => server?.status === "ready" && server.pid !== old
        )
        assert.deepStrictEqual(
          [...errors, ...whileDown].filter((error) => !databaseUnavailable(error)),
          []
        )
        assert.isNotEmpty(whileDown)
        yield* Effect.forEach(Array.from({ length: 20 }), () => sql`select 1`, { concurrency: 6 })
      })
    )

  it.effect("has no connection left is unavailable", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const error = yield* Effect.flip(
        Effect.scoped(Effect.forEach(Array.from({ length: 20 }), () => sql.reserve))
      )
      assert.include(String(error.reason.cause), "too many clients")
      assert.isTrue(databaseUnavailable(error))
      yield* eventually(sql`select 1`)
    })
  )

  it.effect("stops answering fails a ping within its limit", () =>
    Effect.gen(function* () {
      const { ping, sql } = yield* Db
      const [backend] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
      const pid = backend?.pid ?? 0
      const begin = performance.now()
      yield* Effect.acquireUseRelease(
        Effect.sync(() => process.kill(pid, "SIGSTOP")),
        () => Effect.flip(ping),
        () => Effect.sync(() => process.kill(pid, "SIGCONT"))
      )
      assert.isBelow(performance.now() - begin, 4000)
    })
  )
})
