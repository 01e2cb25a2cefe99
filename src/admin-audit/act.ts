import type { Sql } from "../db/sql.ts"
import type { AdminAct } from "./model.ts"

/** An act as an `admin_act_v1` SQL expression. */
export const adminAct = (sql: Sql, act: AdminAct) =>
  sql`row(${act.id}::uuid, ${act.action}, ${act.actorId}, ${act.targetId}, ${sql.json(act.details)}, ${act.requestId})::admin_act_v1`
