import { PgClient, type PgConnection } from "@effect/sql-pg"
import { type Array, Effect, Stream, String } from "effect"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import type { BoundedPool } from "./pool.ts"
import { databaseUnavailable } from "./unavailable.ts"

/**
 * The statement constructor over pools of our own. `PgClient.make` cannot be used for this: it neither limits the
 * wait for a connection nor lets two pools share a transaction. What it would add besides, `listen` and `notify`,
 * is left out on purpose: the first keeps a pooled connection, the second escapes the transaction it is called in.
 */
export interface Sql extends SqlClient.SqlClient {
  /** A parameter stored as jsonb. */
  readonly json: (value: unknown) => Statement.Fragment
}

/**
 * The server's own limit ends a slow statement; this one is for a server that is gone without a word. Nothing else
 * notices: keepalive is silent while sent data waits for its acknowledgement, and TCP gives up after a quarter hour.
 */
const answered = <A>(answerTimeoutMs: number, query: Effect.Effect<A, SqlError.SqlError>) =>
  Effect.timeoutOrElse(query, {
    duration: answerTimeoutMs,
    orElse: () =>
      Effect.fail(
        new SqlError.SqlError({
          reason: new SqlError.ConnectionError({
            cause: new Error(`no answer within ${answerTimeoutMs} ms`),
            message: "the database does not answer",
            operation: "query"
          })
        })
      )
  })

const adapt = (connection: PgConnection.PgConnection, answerTimeoutMs: number): SqlConnection.Connection => {
  const query = (sql: string, params: ReadonlyArray<unknown>, prepare?: boolean) =>
    answered(answerTimeoutMs, connection.query(sql, params, prepare))
  const rows = (
    sql: string,
    params: ReadonlyArray<unknown>,
    transform: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined,
    prepare: boolean
  ) =>
    Effect.map(query(sql, params, prepare), (result) =>
      transform === undefined ? result.rows : transform(result.rows)
    )
  // What ends a transaction has nothing left to end on a connection that is lost. Its error would hide, as a defect,
  // the one that the caller has to see; a COMMIT after it still fails.
  const end = (sql: string) =>
    answered(
      answerTimeoutMs,
      Effect.catchIf(connection.query(sql, []), databaseUnavailable, () => Effect.void)
    ).pipe(Effect.as([]))
  return {
    execute: (sql, params, transform) =>
      sql.startsWith("ROLLBACK") || sql.startsWith("RELEASE SAVEPOINT")
        ? end(sql)
        : rows(sql, params, transform, true),
    executeUnprepared: (sql, params, transform) => rows(sql, params, transform, false),
    executeRaw: (sql, params) => query(sql, params),
    executeValues: (sql, params) => answered(answerTimeoutMs, connection.queryValues(sql, params)),
    executeValuesUnprepared: (sql, params) =>
      answered(answerTimeoutMs, connection.queryValues(sql, params, false)),
    executeStream: (sql, params, transform) => {
      const stream = connection.stream(sql, params)
      return transform === undefined
        ? stream
        : // The transform renames columns, so it gives back as many rows as it gets.
          Stream.mapArray(stream, (rows) => transform(rows) as Array.NonEmptyReadonlyArray<PgConnection.Row>)
    }
  }
}

/** Postgres answers COMMIT with ROLLBACK when a failed statement had been swallowed inside the transaction. */
const commit = (connection: SqlConnection.Connection) =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    typeof result === "object" && result !== null && "command" in result && result.command === "ROLLBACK"
      ? Effect.fail(
          new SqlError.SqlError({
            reason: new SqlError.UnknownError({
              cause: new Error("a statement of this transaction had failed"),
              message: "COMMIT rolled back an aborted transaction",
              operation: "commit"
            })
          })
        )
      : Effect.void
  )

interface PgJson extends Statement.Custom<"PgJson", unknown> {}
const pgJson = Statement.custom<PgJson>("PgJson")

/**
 * A client whose connections come from the pool that `choose` names at each statement or transaction. Clients made
 * with the same `transaction` join each other's transactions. Columns are snake_case, properties camelCase; keys
 * inside jsonb values stay as they are.
 */
export const make = Effect.fnUntraced(function* (
  choose: <A, E, R>(f: (pool: BoundedPool) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  transaction?: SqlClient.SqlClient["transactionService"]
) {
  const reserve = choose((pool) =>
    Effect.map(pool.reserve, (connection) => adapt(connection, pool.answerTimeoutMs))
  )
  const client = yield* SqlClient.make({
    acquirer: reserve,
    transactionAcquirer: reserve,
    borrower: (f) => choose((pool) => pool.use((connection) => f(adapt(connection, pool.answerTimeoutMs)))),
    compiler: PgClient.makeCompiler(String.camelToSnake, false),
    transformRows: Statement.defaultTransforms(String.snakeToCamel, false).array,
    spanAttributes: [["db.system.name", "postgresql"]],
    prepareTransactionControls: true,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    commit,
    driver: "pg",
    ...(transaction === undefined ? {} : { transactionService: transaction })
  })
  const sql: Sql = Object.assign(client, {
    json: (value: unknown) => Statement.fragment([pgJson(value, undefined, undefined)])
  })
  return sql
})
