import { Context, Effect, Fiber, Layer, Option } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlError } from "effect/sql"
import { DbTarget } from "./DbTarget.ts"
import * as Pool from "./pool.ts"
import { connectionConfig, limits, type SessionLimits } from "./session.ts"
import * as SqlOf from "./sql.ts"

/** Longest wait in ms for the answer to a ping. */
const PING_TIMEOUT_MS = 2000
/** Time in ms that a server has beyond the limit of a statement to say that it ended it. */
const ANSWER_GRACE_MS = 5000

export interface Database {
  readonly sql: SqlOf.Sql
  /** All statements of `self`, through `Db` or `BackgroundDb`, commit or roll back together; nested: a savepoint. */
  readonly withTransaction: SqlOf.Sql["withTransaction"]
  /**
   * Runs `self` in a transaction that holds the advisory lock `name`, or gives none at once while any session holds
   * it. For sweeps that are one short transaction: a client silent for 2 s inside a transaction loses it.
   */
  readonly tryLock: <A, E, R>(
    name: string,
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | SqlError.SqlError, R>
  /** One round trip to the server; fails within 2 s when there is no answer. */
  readonly ping: Effect.Effect<void, SqlError.SqlError>
}

/** The database as requests use it. */
export class Db extends Context.Service<Db, Database>()("cp/db/Db") {
  /** Both pools. Connects to nothing by itself. */
  static readonly layer = Layer.effectContext(
    Effect.gen(function* () {
      const target = yield* DbTarget
      const pool = (name: string, session: SessionLimits, connections: number) =>
        Pool.make(
          name,
          connectionConfig(target.address, session, target.searchPath),
          connections,
          session.statementTimeoutMs + ANSWER_GRACE_MS
        )
      const request = yield* pool("request", limits.request, target.requestConnections)
      const background = yield* pool("background", limits.background, target.backgroundConnections)
      const sql = yield* SqlOf.make((f) =>
        Effect.withFiber((fiber) => f(fiber.getRef(OnBackground) ? background : request))
      )
      const backgroundSql = yield* SqlOf.make((f) => f(background), sql.transactionService)
      return Context.make(Db, database(sql)).pipe(
        Context.add(BackgroundDb, database(backgroundSql)),
        Context.add(DbPools, { request, background })
      )
    })
  ).pipe(Layer.provide(Reactivity.layer))
}

/**
 * The same database through a pool of its own, so that jobs cannot take the connections of requests. Provided by
 * `Db.layer`; transactions of the two join.
 */
export class BackgroundDb extends Context.Service<BackgroundDb, Database>()("cp/db/BackgroundDb") {}

/** How much of the connections is in use. Provided by `Db.layer`. */
export class DbPools extends Context.Service<
  DbPools,
  Readonly<Record<"request" | "background", Pick<Pool.BoundedPool, "lent" | "size">>>
>()("cp/db/DbPools") {}

const OnBackground = Context.Reference<boolean>("cp/db/OnBackground", { defaultValue: () => false })

/** Makes every statement inside, also those of stores built on `Db`, use the background pool: one per job. */
export const onBackground = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.provideService(self, OnBackground, true)

const noAnswer = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({
    cause: new Error(`no answer within ${PING_TIMEOUT_MS} ms`),
    message: "the database does not answer",
    operation: "ping"
  })
})

const database = (sql: SqlOf.Sql): Database => ({
  sql,
  withTransaction: sql.withTransaction,
  // The schema is part of the name, so that several installations in one database do not exclude each other.
  tryLock: Effect.fnUntraced(function* (name, self) {
    return yield* sql.withTransaction(
      Effect.gen(function* () {
        const [row] = yield* sql<{ readonly taken: boolean }>`
          select pg_try_advisory_xact_lock(hashtextextended(current_schema() || '/' || ${name}::text, 0)) as taken`
        return row?.taken === true ? yield* Effect.asSome(self) : Option.none()
      })
    )
  }),
  // In a fiber of its own: a statement that is interrupted waits up to 5 s for the server to agree.
  ping: Effect.acquireUseRelease(
    Effect.forkDetach(sql`select 1`),
    (asked) =>
      Effect.timeoutOrElse(Fiber.join(asked), {
        duration: PING_TIMEOUT_MS,
        orElse: () => Effect.fail(noAnswer)
      }),
    (asked) => Effect.sync(() => asked.interruptUnsafe())
  ).pipe(Effect.asVoid, Effect.withSpan("Db.ping"))
})
