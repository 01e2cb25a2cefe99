import { Context, Effect, Layer, Option } from "effect"
import type { SqlError } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import type { PinnedKey } from "./model.ts"
import { orgsOf, ownedVisibly } from "./visible.ts"

/** What a pin is known by. */
export type PinName = Pick<PinnedKey, "namespace" | "aid">

/** A page of pins. */
export interface PinQuery {
  readonly namespace: string | undefined
  readonly limit: number
  readonly offset: number
  /** Continue behind this one. */
  readonly after: (PinName & { readonly createdAt: Date }) | undefined
}

export type NewPin = Omit<PinnedKey, "createdAt" | "updatedAt">

export type PinOutcome =
  | { readonly _tag: "Pinned"; readonly pin: PinnedKey }
  | { readonly _tag: "NamespaceNotVisible" }
  | { readonly _tag: "ReservationLost" }

/** Store of pinned keys. Every act is one call that also writes the audit row it is given. */
export class PinnedKeys extends Context.Service<
  PinnedKeys,
  {
    /** A page, newest first; holds one more than `limit` when there are more. */
    readonly list: (query: PinQuery, visibility: Visibility) => Effect.Effect<ReadonlyArray<PinnedKey>>
    readonly find: (name: PinName, visibility: Visibility) => Effect.Effect<Option.Option<PinnedKey>>
    /** Replaces the pin that is there, but for who added it and when. */
    readonly upsert: (
      pin: NewPin,
      act: AdminAct,
      completion: Completion | undefined,
      visibility: Visibility
    ) => Effect.Effect<PinOutcome>
    /** False when there is none. */
    readonly remove: (name: PinName, act: AdminAct, visibility: Visibility) => Effect.Effect<boolean>
  }
>()("cp/trust/PinnedKeys") {
  static readonly layer = Layer.effect(
    PinnedKeys,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const columns = sql`k.namespace, k.aid, k.pubkey, k.key_matches_aid, k.label, k.expires_at, k.added_by, k.created_at,
        k.updated_at`

      const list = Effect.fn("PinnedKeys.list")(function* (
        { after, limit, namespace, offset }: PinQuery,
        visibility: Visibility
      ) {
        const conditions = [ownedVisibly(sql, "k", visibility)]
        if (namespace !== undefined) conditions.push(sql`k.namespace = ${namespace}`)
        if (after !== undefined)
          conditions.push(
            sql`(k.created_at, k.namespace, k.aid) < (${after.createdAt}::timestamptz, ${after.namespace}, ${after.aid})`
          )
        return yield* sql<PinnedKey>`
          select ${columns} from pinned_keys k where ${sql.and(conditions)}
          order by k.created_at desc, k.namespace desc, k.aid desc limit ${limit + 1}::int offset ${offset}::int`
      }, Effect.orDie)

      const find = Effect.fn("PinnedKeys.find")(function* (
        { aid, namespace }: PinName,
        visibility: Visibility
      ) {
        const [pin] = yield* sql<PinnedKey>`
          select ${columns} from pinned_keys k
          where k.namespace = ${namespace} and k.aid = ${aid} and ${ownedVisibly(sql, "k", visibility)}`
        return Option.fromUndefinedOr(pin)
      }, Effect.orDie)

      const upsert = Effect.fn("PinnedKeys.upsert")(function* (
        given: NewPin,
        act: AdminAct,
        completion: Completion | undefined,
        visibility: Visibility
      ): Effect.fn.Return<PinOutcome, SqlError.SqlError> {
        const [row] = yield* sql<
          { readonly outcome: "ok" | "not_visible" | "lost" } & Pick<
            PinnedKey,
            "addedBy" | "createdAt" | "updatedAt"
          >
        >`
          select outcome, added_by, created_at, updated_at from pin_key_v1(
            row(${given.namespace}, ${given.aid}, ${given.pubkey}, ${given.keyMatchesAid}::boolean,
              ${given.label}::text, ${given.expiresAt}::timestamptz, ${given.addedBy})::pin_v1,
            ${orgsOf(sql, visibility)}, ${adminAct(sql, act)},
            ${completion === undefined ? sql`null::idempotency_completion_v1` : idempotencyCompletion(sql, completion)})`
        switch (row?.outcome) {
          case "ok": {
            const { outcome: _, ...stored } = row
            return { _tag: "Pinned", pin: { ...given, ...stored } }
          }
          case "not_visible":
            return { _tag: "NamespaceNotVisible" }
          case "lost":
            return { _tag: "ReservationLost" }
          case undefined:
            return yield* Effect.die(new Error("the pinning of a key gave no row"))
        }
      }, Effect.orDie)

      const remove = Effect.fn("PinnedKeys.remove")(function* (
        { aid, namespace }: PinName,
        act: AdminAct,
        visibility: Visibility
      ) {
        const [row] = yield* sql<{ readonly removed: boolean }>`
          select unpin_key_v1(${namespace}, ${aid}, ${orgsOf(sql, visibility)}, ${adminAct(sql, act)}) as removed`
        return row?.removed === true
      }, Effect.orDie)

      return { list, find, upsert, remove }
    })
  )
}
