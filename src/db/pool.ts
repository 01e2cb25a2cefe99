import { PgPool, type PgConnection } from "@effect/sql-pg"
import { Effect, Metric, Option, Scope, Semaphore } from "effect"
import { SqlError } from "effect/sql"

/** Longest wait in ms for a free connection before the caller is told that the database is unavailable. */
export const ACQUIRE_TIMEOUT_MS = 5000

const waits = Metric.histogram("db_pool_wait_seconds", {
  description: "How long statements waited for a connection, of those that had to, by pool.",
  boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]
})

export interface BoundedPool {
  /** Most connections it opens. */
  readonly size: number
  /** Connections that are lent now. */
  readonly lent: () => number
  /** Longest wait in ms of this process for the answer to one statement. */
  readonly answerTimeoutMs: number
  /** Lends a connection for the time of one effect. */
  readonly use: <A, E, R>(
    f: (connection: PgConnection.PgConnection) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError.SqlError, R>
  /** Lends a connection until the scope closes; another fiber may not use it meanwhile. */
  readonly reserve: Effect.Effect<PgConnection.PgConnection, SqlError.SqlError, Scope.Scope>
}

const noFreeConnection = (maxConnections: number) =>
  Effect.fail(
    new SqlError.SqlError({
      reason: new SqlError.ConnectionError({
        cause: new Error(`all ${maxConnections} connections were busy for ${ACQUIRE_TIMEOUT_MS} ms`),
        message: "no free database connection",
        operation: "acquire"
      })
    })
  )

/**
 * A pool in which nobody waits longer than `ACQUIRE_TIMEOUT_MS`: the driver's own queue has no limit, so one permit
 * per connection is taken in front of it. Connections are opened on demand; building the pool connects to nothing.
 */
export const make = Effect.fnUntraced(function* (
  name: string,
  config: PgConnection.Config,
  maxConnections: number,
  answerTimeoutMs: number
) {
  const waited = Metric.withAttributes(waits, { pool: name })
  // Makes the series exist before anybody has waited.
  yield* Metric.value(waited)
  const pool = yield* PgPool.make({ ...config, maxConnections })
  const permits = Semaphore.makeUnsafe(maxConnections)
  let [lent, waiting] = [0, 0]
  const permit = Effect.suspend(() => {
    const since = performance.now()
    waiting++
    return Effect.ensuring(
      Effect.timeoutOrElse(permits.takeScoped(1), {
        duration: ACQUIRE_TIMEOUT_MS,
        orElse: () => noFreeConnection(maxConnections)
      }),
      Effect.suspend(() => {
        waiting--
        return Metric.update(waited, (performance.now() - since) / 1000)
      })
    )
  })
  const giveBack = Effect.sync(() => {
    lent--
  })
  const counted = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      lent++
      return Effect.ensuring(self, giveBack)
    })
  const now = permits.withPermitsIfAvailable(1)
  const bounded: BoundedPool = {
    size: maxConnections,
    lent: () => lent,
    answerTimeoutMs,
    use: (f) => {
      const work = counted(pool.use(f))
      const inTurn = Effect.scopedWith((scope) => Effect.andThen(Scope.provide(permit, scope), work))
      // Once per statement, so no timer while permits are left; not past those who wait, or they might wait for ever.
      return Effect.suspend(() =>
        waiting > 0
          ? inTurn
          : Effect.flatMap(now(work), (result) =>
              Option.isSome(result) ? Effect.succeed(result.value) : inTurn
            )
      )
    },
    reserve: Effect.andThen(
      permit,
      Effect.acquireRelease(
        Effect.sync(() => {
          lent++
        }),
        () => giveBack
      )
    ).pipe(Effect.andThen(pool.reserve))
  }
  return bounded
})
