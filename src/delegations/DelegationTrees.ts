import { Context, Effect, Layer } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { earliestFact } from "../revocation/facts-sql.ts"

/** Delegations of one tree that are answered. */
export const MAX_TREE = 10_000

/** A tree as it is answered. */
export interface RenderedTree {
  /** JSON text of an array in the form of `DelegationRecord` with `depth`, oldest `issuedAt` first. */
  readonly json: string
  readonly count: number
  /** There are more than 10,000. */
  readonly truncated: boolean
}

/**
 * Read model: the delegation with an id, if there is one, and everything below it. A caller who may not see a
 * delegation does not see what lies below it either. The database makes the text, because reading thousands of rows
 * only to write them again takes longer than finding them.
 */
export class DelegationTrees extends Context.Service<
  DelegationTrees,
  { readonly tree: (rootJti: string, visibility: Visibility) => Effect.Effect<RenderedTree> }
>()("cp/delegations/DelegationTrees") {
  static readonly layer = Layer.effect(
    DelegationTrees,
    Effect.gen(function* () {
      const { sql } = yield* Db

      // Everyone has one parent, so without the root nothing below it is met twice, and a cycle can only lead through
      // the root. The limit stops the walk itself, which goes level by level. Rows are looked up one by one (`offset 0`
      // keeps each look-up apart), because the plan may have been made while the tables were small.
      const tree = Effect.fn("DelegationTrees.tree")(function* (rootJti: string, visibility: Visibility) {
        const root = sql`${rootJti}::uuid`
        const visible =
          visibility._tag === "all"
            ? sql`t.log_id = ${LOG_ID}`
            : sql`t.log_id = ${LOG_ID} and t.org_ids && ${visibility.orgIds}::uuid[]`
        const [row] = yield* sql<{ readonly json: string; readonly found: number }>`
          with recursive below (jti, place, depth) as (
            select t.jti, t.ctid, case when t.jti = ${root} then 0 else 1 end
            from delegations t
            where (t.jti = ${root} or t.parent_jti = ${root}) and ${visible}
            union all
            select t.jti, t.ctid, b.depth + 1
            from below b
            cross join lateral (
              select t.jti, t.ctid from delegations t
              where t.parent_jti = b.jti and t.jti <> ${root} and ${visible} offset 0
            ) as t
            where b.depth > 0
          ),
          found as materialized (select jti, place, depth from below limit ${MAX_TREE + 1}::int),
          shown as (
            select t.*, b.depth, f.at, coalesce(f.at, t.ancestor_revoked_at) as revoked_at
            from found b
            cross join lateral (select t.* from delegations t where t.ctid = b.place offset 0) as t
            cross join lateral (select ${earliestFact(sql, "delegation")} as at offset 0) as f
            order by t.issued_at, t.jti
            limit ${MAX_TREE}::int
          )
          -- Aggregated in the order of the rows: sorting these texts once more would cost as much as making them.
          select
            '[' || coalesce(string_agg(
              concat(
                '{"jti":"', t.jti, '","parentJti":"', t.parent_jti, '","delegator":', to_json(t.delegator_aid),
                ',"delegatee":', to_json(t.delegatee_aid), ',"scope":', coalesce(t.scope, '[]'),
                ',"issuedAt":"', iso_v1(t.issued_at),
                '","expiresAt":', coalesce('"' || iso_v1(t.expires_at) || '"', 'null'),
                case
                  when t.revoked_at is null then ',"revoked":false,"revokedAt":null,"revokedReason":null'
                  else concat(
                    ',"revoked":true,"revokedAt":"', iso_v1(t.revoked_at), '","revokedReason":"',
                    case when t.at is null then 'parent_revoked' else 'explicit' end, '"')
                end,
                ',"synthetic":', t.synthetic::text, ',"signatureVerified":', coalesce(t.signature_verified::text, 'null'),
                ',"conflict":', t.conflict::text, ',"depth":', t.depth, '}'), ','), '') || ']' as json,
            (select count(*)::int from found) as found
          from shown t`
        if (row === undefined) return yield* Effect.die(new Error("the tree gave no row"))
        return { json: row.json, count: Math.min(row.found, MAX_TREE), truncated: row.found > MAX_TREE }
      }, Effect.orDie)

      return { tree }
    })
  )
}
