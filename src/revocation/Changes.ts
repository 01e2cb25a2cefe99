import { Context, Effect, Layer, Option } from "effect"
import { Db } from "../db/Db.ts"
import type { Change } from "./changes-merge.ts"

/** Changes that one delta may merge. Beyond, the full list, which is compressed and kept at hand, costs less. */
export const MAX_CHANGES = 5000

type Row = readonly [jti: string, op: Change["op"], revokedAt: number, reason: string | null]

/** How the published lists differ from one another; kept for seven days. */
export class Changes extends Context.Service<
  Changes,
  {
    /** The oldest version whose way to version `to` is kept and takes at most {@link MAX_CHANGES} changes. */
    readonly earliest: (to: number) => Effect.Effect<number>
    /** Changes after version `from` up to `to`, the oldest first; none unless all of them are there. */
    readonly between: (from: number, to: number) => Effect.Effect<Option.Option<ReadonlyArray<Change>>>
  }
>()("cp/revocation/Changes") {
  static readonly layer = Layer.effect(
    Changes,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const earliest = Effect.fn("Changes.earliest")(function* (to: number) {
        const [row] = yield* sql<{ readonly earliest: number | null }>`
          select greatest(
            (select min(l.version) from revocation_lists l),
            (select c.version from revocation_list_changes c where c.version <= ${to}::bigint
             order by c.version desc, c.jti desc offset ${MAX_CHANGES}::int limit 1)
          )::float8 as earliest`
        return row?.earliest ?? to
      }, Effect.orDie)

      // One statement, hence one snapshot. Every version from `from` to `to` must have its row, and its changes must account
      // for the number of its entries: what retention or an accident has taken is noticed and never signed over.
      const between = Effect.fn("Changes.between")(function* (from: number, to: number) {
        const [row] = yield* sql<{ readonly complete: boolean; readonly changes: string }>`
          with changes as materialized (
            select c.version, c.jti, c.op, c.revoked_at, c.reason from revocation_list_changes c
            where c.version > ${from}::bigint and c.version <= ${to}::bigint
          ),
          growth as (
            select c.version, sum(case c.op when '+' then 1 else -1 end) as entries from changes c group by c.version
          ),
          versions as (
            select
              l.version, l.changed, l.entries, lag(l.entries) over (order by l.version) as before,
              g.entries as growth
            from revocation_lists l left join growth g on g.version = l.version
            where l.version between ${from}::bigint and ${to}::bigint
          )
          select
            count(*) = ${to}::bigint - ${from}::bigint + 1
              and bool_and(
                v.version = ${from}::bigint
                or (v.changed = (v.growth is not null) and v.entries = v.before + coalesce(v.growth, 0))
              ) as complete,
            (select coalesce(json_agg(json_build_array(c.jti, c.op, c.revoked_at, c.reason) order by c.version), '[]')
             from changes c)::text as changes
          from versions v`
        if (row?.complete !== true) return Option.none()
        const rows = JSON.parse(row.changes) as ReadonlyArray<Row> // built just above
        return Option.some(rows.map(([jti, op, revokedAt, reason]) => ({ jti, op, revokedAt, reason })))
      }, Effect.orDie)

      return { between, earliest }
    })
  )
}
