import { Effect } from "effect"
import type { SqlClient } from "effect/sql"

/** Every row of every table of the database, as text; bytes are in hex. */
export const dumpOf = (sql: SqlClient.SqlClient): Effect.Effect<string> =>
  Effect.gen(function* () {
    const tables = yield* sql<{ readonly name: string }>`
      select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema') order by name`
    const texts = yield* Effect.forEach(tables, ({ name }) =>
      sql.unsafe<{ readonly rows: string }>(
        `select coalesce(string_agg(t::text, e'\\n'), '') as rows from ${name} as t`
      )
    )
    return texts.flatMap((rows) => rows.map((row) => row.rows)).join("\n")
  }).pipe(Effect.orDie)

/** The forms in which a text could stand in a dump. */
export const tracesOf = (text: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(text)
  return [text, bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url")]
}
