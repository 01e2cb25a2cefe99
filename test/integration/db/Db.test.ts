import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option } from "effect"
import { SqlError } from "effect/sql"
import { BackgroundDb, Db, onBackground } from "../../../src/db/Db.ts"
import { databaseUnavailable } from "../../../src/db/unavailable.ts"
import { target, TestDb } from "../../support/db/TestDb.ts"

type Sql = Db["Service"]["sql"]

/** What `current_setting` shows for each name. */
const settings = (sql: Sql, ...names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) =>
    Effect.map(
      sql<{ readonly value: string }>`select current_setting(${name}) as value`,
      ([row]) => row?.value
    )
  )

const backend = (sql: Sql) =>
  Effect.map(sql<{ readonly pid: number }>`select pg_backend_pid() as pid`, ([row]) => row?.pid)

// Real time: limits of the server and of the pool are what is tested.
layer(TestDb, { excludeTestServices: true })("Db", (it) => {
  it.effect("gives every session its limits", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const background = yield* BackgroundDb
      const names = [
        "application_name",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout"
      ]
      assert.deepStrictEqual(yield* settings(sql, ...names), ["aitp-control-plane", "15s", "5s", "2s"])
      assert.deepStrictEqual(yield* settings(background.sql, ...names), [
        "aitp-control-plane background",
        "1min",
        "5s",
        "2s"
      ])
      const keepalive = ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"]
      assert.deepStrictEqual(yield* settings(sql, ...keepalive, "timezone"), ["5", "5", "3", "UTC"])
    })
  )

  it.effect("renames columns and leaves the keys of stored JSON alone", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const stored = { snake_key: 1, camelKey: { inner_key: [2] } }
      const rows = yield* sql`select ${sql.json(stored)}::jsonb as stored_json, 7 as ${sql("someNumber")}`
      assert.deepStrictEqual(rows, [{ storedJson: stored, someNumber: 7 }])
    })
  )

  it.effect("joins transactions of both pools, also for stores built on the request pool", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const background = yield* BackgroundDb
      yield* sql`create table joined (n integer)`
      const rolledBack = background.withTransaction(
        Effect.gen(function* () {
          assert.strictEqual(yield* backend(sql), yield* backend(background.sql))
          yield* sql`insert into joined values (1)`
          return yield* Effect.fail("undo")
        })
      )
      assert.isTrue(Exit.isFailure(yield* Effect.exit(rolledBack)))
      assert.deepStrictEqual(yield* sql`select n from joined`, [])
    })
  )

  it.effect("fails a transaction whose failed statement was swallowed", () =>
    Effect.gen(function* () {
      const { sql, withTransaction } = yield* Db
      const error = yield* Effect.flip(withTransaction(Effect.exit(sql`select 1 / 0`)))
      assert.include(error.message, "rolled back")
    })
  )

  it.effect("runs statements of a job on the background pool", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const name = settings(sql, "application_name")
      assert.deepStrictEqual(yield* onBackground(name), ["aitp-control-plane background"])
      assert.deepStrictEqual(yield* name, ["aitp-control-plane"])
    })
  )

  it.effect("lets one of two sweeps in", () =>
    Effect.gen(function* () {
      const { tryLock } = yield* Db
      const entered = yield* Latch.make()
      const leave = yield* Latch.make()
      const first = yield* Effect.forkChild(tryLock("sweep", Effect.andThen(entered.open, leave.await)))
      yield* entered.await
      assert.isTrue(Option.isNone(yield* tryLock("sweep", Effect.void)))
      assert.isTrue(Option.isSome(yield* tryLock("another", Effect.void)))
      yield* leave.open
      assert.isTrue(Option.isSome(yield* Fiber.join(first)))
      assert.isTrue(Option.isSome(yield* tryLock("sweep", Effect.void)))
    })
  )

  it.effect("tells waiting callers after 5 s, while jobs go on and the pool recovers", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const background = yield* BackgroundDb
      const begin = performance.now()
      const error = yield* Effect.scoped(
        Effect.gen(function* () {
          for (let n = 0; n < target("").requestConnections; n++) yield* sql.reserve
          yield* background.ping
          yield* onBackground(sql`select 1`)
          return yield* Effect.flip(sql`select 1`)
        })
      )
      assert.strictEqual(error.reason.operation, "acquire")
      assert.isTrue(databaseUnavailable(error))
      assert.isAbove(performance.now() - begin, 4900)
      yield* sql`select 1`
    })
  )

  it.effect("loses no connection to callers that stop waiting", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const impatient = Effect.option(Effect.timeout(sql`select pg_sleep(0.01)`, 5))
      yield* Effect.all(
        Array.from({ length: 200 }, () => impatient),
        { concurrency: "unbounded" }
      )
      yield* Effect.scoped(
        Effect.forEach(Array.from({ length: target("").requestConnections }), () => sql.reserve)
      )
    })
  )

  it.effect("ends the transaction of a client that stops in it", () =>
    Effect.gen(function* () {
      const { sql, withTransaction } = yield* Db
      const ended = Effect.map(
        sql`select 1 from pg_stat_activity where application_name = 'stuck'`,
        (rows) => rows.length === 0
      )
      const stuck = Effect.gen(function* () {
        yield* sql`set local application_name = 'stuck'`
        // Time is what this is about: the server acts after 2 s.
        yield* Effect.sleep(2300)
        return yield* sql`select 1`
      })
      const error = yield* Effect.flip(withTransaction(stuck))
      assert.isTrue(SqlError.isSqlError(error) && databaseUnavailable(error))
      assert.isTrue(yield* ended)
    })
  )

  it.effect("takes the limits of the server for unavailability, and mistakes for faults", () =>
    Effect.gen(function* () {
      const { sql, withTransaction } = yield* Db
      const background = yield* BackgroundDb
      yield* sql`create table contended (n integer)`
      const held = yield* Latch.make()
      const release = yield* Latch.make()
      const holder = yield* Effect.forkChild(
        background.withTransaction(
          Effect.andThen(sql`lock table contended`, Effect.andThen(held.open, release.await))
        )
      )
      yield* held.await
      const outcome = (limit: string, statement: Effect.Effect<unknown, SqlError.SqlError>) =>
        Effect.flip(
          withTransaction(Effect.andThen(sql`select set_config(${limit}, '20ms', true)`, statement))
        )
      const locked = yield* outcome("lock_timeout", sql`select n from contended`)
      assert.strictEqual(locked.reason._tag, "LockTimeoutError")
      const slow = yield* outcome("statement_timeout", sql`select pg_sleep(10)`)
      assert.strictEqual(slow.reason._tag, "StatementTimeoutError")
      const wrong = yield* outcome("lock_timeout", sql`select nothing from nowhere`)
      assert.deepStrictEqual([locked, slow, wrong].map(databaseUnavailable), [true, true, false])
      yield* release.open
      yield* Fiber.join(holder)
    })
  )
})
