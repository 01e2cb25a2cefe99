import { PgClient } from "@effect/sql-pg"
import { assert, it, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { awaitEnd, isAlive } from "../../../src/embedded/processes.ts"
import { eventually } from "../../support/db/eventually.ts"
import { dataFolder, type Started, startOwner, UsedData } from "../../support/db/owners.ts"

const withSql = <A, E>(url: string, f: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  PgClient.makeClient({ url: Redacted.make(url) }).pipe(
    Effect.flatMap(f),
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

const remember = (url: string, n: number) =>
  withSql(url, (sql) =>
    Effect.andThen(
      sql`create table if not exists remembered (n integer)`,
      sql`insert into remembered values (${n})`
    )
  )
const remembered = (url: string) =>
  withSql(url, (sql) =>
    Effect.map(sql<{ readonly n: number }>`select n from remembered order by n`, (rows) =>
      rows.map((row) => row.n)
    )
  )

const killServer = (server: Started) =>
  Effect.andThen(
    Effect.sync(() => process.kill(server.pid, "SIGKILL")),
    awaitEnd(server.pid, 10)
  )

it.live("makes its data on the first start and keeps them, the port and the secrets for the next", () =>
  Effect.gen(function* () {
    const folder = yield* dataFolder
    const owner = yield* startOwner(folder)
    const first = yield* owner.started
    assert.strictEqual(first.fsync, "on")
    assert.strictEqual(readFileSync(join(folder, "database-url"), "utf8").trim(), first.url)
    for (const file of ["database-url", "server.log", "secrets/seed", "cluster/password"])
      assert.strictEqual(statSync(join(folder, file)).mode & 0o777, 0o600, file)
    const [encoding] = yield* withSql(
      first.url,
      (sql) => sql`
        select pg_encoding_to_char(encoding) as encoding, datlocale as locale, current_database() as name
        from pg_database where datname = current_database()`
    )
    assert.deepStrictEqual(encoding, { encoding: "UTF8", locale: "C.UTF-8", name: "aitp_control_plane" })
    yield* remember(first.url, 1)
    yield* owner.kill("SIGTERM")
    assert.deepStrictEqual(yield* owner.line, { event: "stopping", lastQuery: "Success" })
    yield* owner.ended
    assert.isFalse(isAlive(first.pid))
    assert.isFalse(existsSync(join(first.data, "postmaster.pid")))

    const second = yield* (yield* startOwner(folder)).started
    assert.strictEqual(second.url, first.url)
    assert.strictEqual(second.secret, first.secret)
    assert.isBelow(second.ms, 1000)
    assert.deepStrictEqual(yield* remembered(second.url), [1])
  })
)

it.live("lets one of two services in that start at once on new data", () =>
  Effect.gen(function* () {
    const folder = yield* dataFolder
    const both = [yield* startOwner(folder), yield* startOwner(folder)]
    const said = yield* Effect.forEach(both, (owner) => owner.line, { concurrency: "unbounded" })
    assert.deepStrictEqual(said.map((line) => line.event).sort(), ["failed", "started"])
  })
)

// Real time and processes.
layer(UsedData.layer, { excludeTestServices: true })("on used data", (it) => {
  it.effect("refuses other clients than those with the password", () =>
    Effect.gen(function* () {
      const server = yield* (yield* startOwner(yield* (yield* UsedData).copy)).started
      const wrong = new URL(server.url)
      wrong.password = "guess"
      const error = yield* Effect.flip(withSql(wrong.href, (sql) => sql`select 1`))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    })
  )

  it.effect("keeps the server from the terminal's Ctrl-C until the service has ended", () =>
    Effect.gen(function* () {
      const owner = yield* startOwner(yield* (yield* UsedData).copy)
      const server = yield* owner.started
      yield* owner.interruptGroup
      assert.deepStrictEqual(yield* owner.line, { event: "stopping", lastQuery: "Success" })
      yield* owner.ended
      assert.isFalse(isAlive(server.pid))
    })
  )

  it.effect("takes over the server of a service that was killed, and stops it", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const killed = yield* startOwner(folder)
      const first = yield* killed.started
      yield* remember(first.url, 1)
      yield* killed.kill("SIGKILL")
      yield* killed.ended
      assert.isTrue(isAlive(first.pid))

      const heir = yield* startOwner(folder)
      const second = yield* heir.started
      assert.deepStrictEqual([second.pid, second.url], [first.pid, first.url])
      assert.deepStrictEqual(yield* remembered(second.url), [1])
      yield* heir.kill("SIGTERM")
      yield* heir.ended
      assert.isFalse(isAlive(first.pid))
    })
  )

  it.effect("recovers what was committed after everything was killed", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const first = yield* owner.started
      yield* remember(first.url, 1)
      yield* remember(first.url, 2)
      // The owner first, so that it does not start the server again.
      yield* owner.kill("SIGKILL")
      yield* owner.ended
      yield* killServer(first)
      assert.isTrue(existsSync(join(first.data, "postmaster.pid")))

      const second = yield* (yield* startOwner(folder)).started
      assert.notStrictEqual(second.pid, first.pid)
      assert.deepStrictEqual(yield* remembered(second.url), [1, 2])
    })
  )

  it.effect("starts the server again when it alone was killed", () =>
    Effect.gen(function* () {
      const owner = yield* startOwner(yield* (yield* UsedData).copy)
      const server = yield* owner.started
      yield* remember(server.url, 1)
      yield* killServer(server)
      assert.deepStrictEqual(yield* eventually(remembered(server.url)), [1])
      yield* owner.kill("SIGTERM")
      assert.deepStrictEqual(yield* owner.line, { event: "stopping", lastQuery: "Success" })
      yield* owner.ended
      assert.isFalse(existsSync(join(server.data, "postmaster.pid")))
    })
  )

  it.effect("refuses a second service in the same folder and says how to join the first", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const server = yield* owner.started
      const second = yield* startOwner(folder)
      const refusal = yield* second.line
      assert.strictEqual(refusal.event, "failed")
      const message = "message" in refusal ? refusal.message : ""
      assert.include(message, `process ${owner.pid} already runs`)
      assert.include(message, `DATABASE_URL="$(cat '${join(server.home, "database-url")}')"`)
      yield* second.ended
      yield* remember(server.url, 1)
    })
  )

  it.effect("does not mistake a foreign process for the server that had its number", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const first = yield* owner.started
      yield* remember(first.url, 1)
      yield* owner.kill("SIGKILL")
      yield* owner.ended
      yield* killServer(first)

      // As the account of the server, because that is whom the server itself would take it for.
      const { gid, uid } = statSync(first.data)
      const foreign = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn("sleep", ["600"], { stdio: "ignore", ...(process.getuid?.() === 0 ? { uid, gid } : {}) })
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const file = join(first.data, "postmaster.pid")
      writeFileSync(file, readFileSync(file, "utf8").replace(/^\d+/, String(foreign.pid)))

      const second = yield* (yield* startOwner(folder)).started
      assert.deepStrictEqual(yield* remembered(second.url), [1])
      assert.isTrue(isAlive(foreign.pid ?? 0))
    })
  )

  it.effect("makes the data again when the first start was cut short", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const first = yield* owner.started
      yield* owner.kill("SIGTERM")
      yield* owner.ended
      rmSync(join(folder, "cluster", "initialised"))
      rmSync(join(first.data, "global"), { recursive: true })

      const second = yield* (yield* startOwner(folder)).started
      yield* remember(second.url, 1)
      assert.strictEqual(second.secret, first.secret)
    })
  )

  it.effect("quotes the server's log when the server does not start", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const first = yield* owner.started
      yield* owner.kill("SIGTERM")
      yield* owner.ended
      writeFileSync(join(first.data, "postgresql.conf"), "no_such_setting = 1\n")

      const failed = yield* (yield* startOwner(folder)).line
      assert.include("message" in failed ? failed.message : "", "no_such_setting")
    })
  )

  it.effect("takes another port when somebody has taken its own", () =>
    Effect.gen(function* () {
      const folder = yield* (yield* UsedData).copy
      const owner = yield* startOwner(folder)
      const first = yield* owner.started
      yield* owner.kill("SIGTERM")
      yield* owner.ended
      const { createServer } = yield* Effect.promise(() => import("node:net"))
      const squatter = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer()
          server.listen(Number(new URL(first.url).port), "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      assert.isTrue(squatter.listening)
      const second = yield* (yield* startOwner(folder)).started
      assert.notStrictEqual(second.url, first.url)
      yield* remember(second.url, 1)
    })
  )
})
