import { Context, Effect, Layer, Option } from "effect"
import type { SqlError } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import type { TrustAnchor } from "./model.ts"
import { orgsOf, ownedVisibly } from "./visible.ts"

/** A page of anchors. */
export interface TrustAnchorQuery {
  readonly namespace: string | undefined
  readonly limit: number
  readonly offset: number
  /** Continue behind this one. */
  readonly after: { readonly createdAt: Date; readonly id: string } | undefined
}

export type NewTrustAnchor = Pick<
  TrustAnchor,
  "id" | "namespace" | "issuerUrl" | "jwksUrl" | "label" | "addedBy"
>

/** Members that become others; undefined ones stay as they are. */
export interface TrustAnchorChanges {
  readonly issuerUrl?: string | undefined
  readonly jwksUrl?: string | null | undefined
  readonly label?: string | null | undefined
}

export type CreateOutcome =
  | { readonly _tag: "Created"; readonly anchor: TrustAnchor }
  | { readonly _tag: "Exists"; readonly id: string }
  | { readonly _tag: "NamespaceNotVisible" }
  | { readonly _tag: "ReservationLost" }

export type UpdateOutcome =
  | { readonly _tag: "Updated"; readonly anchor: TrustAnchor }
  | { readonly _tag: "Exists"; readonly id: string }
  | { readonly _tag: "NotFound" }

/** Store of trust anchors. Every act is one call that also writes the audit row it is given. */
export class TrustAnchors extends Context.Service<
  TrustAnchors,
  {
    /** A page, newest first; holds one more than `limit` when there are more. */
    readonly list: (
      query: TrustAnchorQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<TrustAnchor>>
    readonly findById: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<TrustAnchor>>
    /** Of any number of simultaneous calls for one namespace and issuer, one creates. Its keys are due at once. */
    readonly create: (
      anchor: NewTrustAnchor,
      act: AdminAct,
      completion: Completion | undefined,
      visibility: Visibility
    ) => Effect.Effect<CreateOutcome>
    /**
     * Changes what is given and nothing else. What differs from before is added to the details of the audit row; another
     * URL drops the cached keys, also those that are being fetched.
     */
    readonly update: (
      id: string,
      changes: TrustAnchorChanges,
      act: AdminAct,
      visibility: Visibility
    ) => Effect.Effect<UpdateOutcome>
    /** False when there is none. */
    readonly remove: (id: string, act: AdminAct, visibility: Visibility) => Effect.Effect<boolean>
  }
>()("cp/trust/TrustAnchors") {
  static readonly layer = Layer.effect(
    TrustAnchors,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const columns = sql`a.id, a.namespace, a.issuer_url, a.jwks_url, a.label, a.jwks_cached_at, a.jwks_error, a.added_by,
        a.created_at, a.updated_at`

      const list = Effect.fn("TrustAnchors.list")(function* (
        { after, limit, namespace, offset }: TrustAnchorQuery,
        visibility: Visibility
      ) {
        const conditions = [ownedVisibly(sql, "a", visibility)]
        if (namespace !== undefined) conditions.push(sql`a.namespace = ${namespace}`)
        if (after !== undefined)
          conditions.push(sql`(a.created_at, a.id) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`)
        return yield* sql<TrustAnchor>`
          select ${columns} from trust_anchors a where ${sql.and(conditions)}
          order by a.created_at desc, a.id desc limit ${limit + 1}::int offset ${offset}::int`
      }, Effect.orDie)

      const findById = Effect.fn("TrustAnchors.findById")(function* (id: string, visibility: Visibility) {
        const [anchor] = yield* sql<TrustAnchor>`
          select ${columns} from trust_anchors a
          where a.id = ${id}::uuid and ${ownedVisibly(sql, "a", visibility)}`
        return Option.fromUndefinedOr(anchor)
      }, Effect.orDie)

      const create = Effect.fn("TrustAnchors.create")(function* (
        given: NewTrustAnchor,
        act: AdminAct,
        completion: Completion | undefined,
        visibility: Visibility
      ): Effect.fn.Return<CreateOutcome, SqlError.SqlError> {
        const [row] = yield* sql<{
          readonly outcome: "ok" | "exists" | "not_visible" | "lost"
          readonly existing: string
          readonly createdAt: Date
        }>`
          select outcome, existing, created_at from create_trust_anchor_v1(
            row(${given.id}::uuid, ${given.namespace}, ${given.issuerUrl}, ${given.jwksUrl}::text,
              ${given.label}::text, ${given.addedBy})::new_trust_anchor_v1,
            ${orgsOf(sql, visibility)}, ${adminAct(sql, act)},
            ${completion === undefined ? sql`null::idempotency_completion_v1` : idempotencyCompletion(sql, completion)})`
        switch (row?.outcome) {
          case "ok": {
            const { createdAt } = row
            const anchor = { ...given, jwksCachedAt: null, jwksError: null, createdAt, updatedAt: createdAt }
            return { _tag: "Created", anchor }
          }
          case "exists":
            return { _tag: "Exists", id: row.existing }
          case "not_visible":
            return { _tag: "NamespaceNotVisible" }
          case "lost":
            return { _tag: "ReservationLost" }
          case undefined:
            return yield* Effect.die(new Error("the creation of a trust anchor gave no row"))
        }
      }, Effect.orDie)

      const update = Effect.fn("TrustAnchors.update")(function* (
        id: string,
        { issuerUrl, jwksUrl, label }: TrustAnchorChanges,
        act: AdminAct,
        visibility: Visibility
      ): Effect.fn.Return<UpdateOutcome, SqlError.SqlError> {
        const [row] = yield* sql<
          { readonly outcome: "ok" | "exists" | "not_found"; readonly existing: string } & TrustAnchor
        >`
          select outcome, existing, (record).* from update_trust_anchor_v1(
            ${id}::uuid, ${orgsOf(sql, visibility)},
            row(${issuerUrl ?? null}::text, ${jwksUrl !== undefined}::boolean, ${jwksUrl ?? null}::text,
              ${label !== undefined}::boolean, ${label ?? null}::text)::trust_anchor_changes_v1,
            ${adminAct(sql, act)})`
        if (row === undefined || row.outcome === "not_found") return { _tag: "NotFound" }
        const { existing, outcome, ...anchor } = row
        return outcome === "exists" ? { _tag: "Exists", id: existing } : { _tag: "Updated", anchor }
      }, Effect.orDie)

      const remove = Effect.fn("TrustAnchors.remove")(function* (
        id: string,
        act: AdminAct,
        visibility: Visibility
      ) {
        const [row] = yield* sql<{ readonly removed: boolean }>`
          select delete_trust_anchor_v1(${id}::uuid, ${orgsOf(sql, visibility)}, ${adminAct(sql, act)}) as removed`
        return row?.removed === true
      }, Effect.orDie)

      return { list, findById, create, update, remove }
    })
  )
}
