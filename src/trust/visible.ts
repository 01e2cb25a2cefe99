import type { Visibility } from "../access/Visibility.ts"
import type { Sql } from "../db/sql.ts"

/** The organisations whose rows are visible, as a `uuid[]` expression; null is all. */
export const orgsOf = (sql: Sql, visibility: Visibility) =>
  sql`${visibility._tag === "all" ? null : visibility.orgIds}::uuid[]`

/** Condition on the column `org_id` of a table with this alias. */
export const ownedVisibly = (sql: Sql, alias: string, visibility: Visibility) =>
  visibility._tag === "all" ? sql`true` : sql`${sql(alias)}.org_id = any(${visibility.orgIds}::uuid[])`
