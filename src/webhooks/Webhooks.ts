import { Context, Effect, Layer, Option, type Redacted } from "effect"
import type { OrgId, Visibility } from "../access/Visibility.ts"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { Stale } from "../events/EventOwners.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "../events/seal.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import type { DisabledReason, Webhook, WebhookFilter } from "./model.ts"
import { secretHint } from "./secret.ts"
import { encryptCurrent, encryptPrevious } from "./stored-secrets.ts"

/** A page of subscriptions. */
export interface WebhookQuery {
  readonly limit: number
  readonly offset: number
  /** Continue behind this one. */
  readonly after: { readonly createdAt: Date; readonly id: string } | undefined
}

export interface NewWebhook {
  /** UUIDv7. */
  readonly id: string
  readonly url: string
  readonly events: ReadonlyArray<string>
  readonly filter: WebhookFilter
  readonly secret: Redacted.Redacted<string>
  readonly active: boolean
  /** Null spans all organisations. */
  readonly organizationId: OrgId | null
  readonly createdAt: Date
}

/** Another secret becomes the current one. */
export interface SecretChange {
  readonly secret: Redacted.Redacted<string>
  /** Ciphertext of the one that is replaced; when it is not the current one any more, nothing is changed. */
  readonly replaces: Uint8Array
  /** Stays valid for that many seconds; undefined: nothing does. */
  readonly previous: Redacted.Redacted<string> | undefined
  readonly graceSecs: number
}

/** Members that become others; undefined ones stay as they are. */
export interface WebhookChanges {
  readonly url?: string | undefined
  readonly events?: ReadonlyArray<string> | undefined
  readonly filter?: WebhookFilter | undefined
  readonly active?: boolean | undefined
  readonly secret?: SecretChange | undefined
}

export type UpdateOutcome =
  | { readonly _tag: "Updated"; readonly webhook: Webhook; readonly previousSecretUntil: Date | null }
  | { readonly _tag: "NotFound" }
  /** `replaces` is not the current secret any more: look again. */
  | { readonly _tag: "SecretChanged" }

/** Store of subscriptions. Every act is one call that also writes the audit row it is given. */
export class Webhooks extends Context.Service<
  Webhooks,
  {
    /** A page, oldest first; holds one more than `limit` when there are more. */
    readonly list: (query: WebhookQuery, visibility: Visibility) => Effect.Effect<ReadonlyArray<Webhook>>
    /** @param id a UUID */
    readonly findById: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<Webhook>>
    /** False when the reservation of the request no longer holds. */
    readonly create: (
      webhook: NewWebhook,
      act: AdminAct,
      completion: Completion | undefined
    ) => Effect.Effect<boolean>
    /**
     * Changes what is given and nothing else, also beside others that change the same subscription. What differs from
     * before is added to the details of the audit row, of a secret only `secretRotated`.
     */
    readonly update: (
      id: string,
      changes: WebhookChanges,
      act: AdminAct,
      visibility: Visibility
    ) => Effect.Effect<UpdateOutcome>
    /** False when there is none. Its deliveries are left to `RemovedWebhooks`. */
    readonly remove: (id: string, act: AdminAct, visibility: Visibility) => Effect.Effect<boolean>
    /** Disables a subscription that is active with this URL, with its event; false when it is not. */
    readonly disable: (
      target: { readonly id: string; readonly url: string },
      reason: DisabledReason,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      act: AdminAct
    ) => Effect.Effect<boolean | Stale>
  }
>()("cp/webhooks/Webhooks") {
  static readonly layer = Layer.effect(
    Webhooks,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const keys = yield* DataKeys

      const select = (visibility: Visibility) => sql`
        select
          w.id, w.url, w.events, w.filter, w.active, w.secret_hint, w.disabled_at, w.disabled_reason,
          coalesce(b.state, 'closed') as breaker, w.created_at, w.updated_at
        from webhooks w left join webhook_breakers b on b.webhook_id = w.id
        where (${orgsOf(sql, visibility)} is null or w.organization_id = any(${orgsOf(sql, visibility)}))`

      const list = Effect.fn("Webhooks.list")(function* (
        { after, limit, offset }: WebhookQuery,
        visibility: Visibility
      ) {
        const position =
          after === undefined
            ? sql`true`
            : sql`(w.created_at, w.id) > (${after.createdAt}::timestamptz, ${after.id}::uuid)`
        return yield* sql<Webhook>`
          ${select(visibility)} and ${position}
          order by w.created_at, w.id limit ${limit + 1}::int offset ${offset}::int`
      }, Effect.orDie)

      const findById = Effect.fn("Webhooks.findById")(function* (id: string, visibility: Visibility) {
        const [webhook] = yield* sql<Webhook>`${select(visibility)} and w.id = ${id}::uuid`
        return Option.fromUndefinedOr(webhook)
      }, Effect.orDie)

      const create = Effect.fn("Webhooks.create")(function* (
        { secret, ...given }: NewWebhook,
        act: AdminAct,
        completion: Completion | undefined
      ) {
        const [row] = yield* sql<{ readonly created: boolean }>`
          select create_webhook_v1(
            ${LOG_ID}::smallint,
            row(${given.id}::uuid, ${given.url}, ${sql.json(given.events)}, ${sql.json(given.filter)},
              ${encryptCurrent(keys, given.id, secret)}::bytea, ${keys.keyId}, ${secretHint(secret)}, ${given.active}::boolean,
              ${given.organizationId}::uuid, ${given.createdAt}::timestamptz)::webhook_v1,
            ${adminAct(sql, act)},
            ${completion === undefined ? sql`null::idempotency_completion_v1` : idempotencyCompletion(sql, completion)}
          ) as created`
        return row?.created === true
      }, Effect.orDie)

      const changedSecret = (id: string, change: SecretChange | undefined) => {
        if (change === undefined) return sql`null, null, null, null, null, null`
        const { graceSecs, previous, replaces, secret } = change
        return sql`
          ${encryptCurrent(keys, id, secret)}::bytea, ${keys.keyId}, ${secretHint(secret)}, ${replaces}::bytea,
          ${previous === undefined ? null : encryptPrevious(keys, id, previous)}::bytea, ${graceSecs}::int`
      }

      const update = Effect.fn("Webhooks.update")(function* (
        id: string,
        { active, events, filter, secret, url }: WebhookChanges,
        act: AdminAct,
        visibility: Visibility
      ) {
        const [row] = yield* sql<
          {
            readonly outcome: "ok" | "not_found" | "changed"
            readonly prevSecretUntil: Date | null
          } & Webhook
        >`
          select outcome, prev_secret_until, (record).* from update_webhook_v1(
            ${id}::uuid, ${orgsOf(sql, visibility)},
            row(${url ?? null}::text, ${events === undefined ? sql`null` : sql.json(events)},
              ${filter === undefined ? sql`null` : sql.json(filter)}, ${active ?? null}::boolean,
              ${changedSecret(id, secret)})::webhook_changes_v1,
            ${adminAct(sql, act)})`
        if (row === undefined || row.outcome === "not_found") return { _tag: "NotFound" } as const
        if (row.outcome === "changed") return { _tag: "SecretChanged" } as const
        const { outcome: _, prevSecretUntil, ...webhook } = row
        return { _tag: "Updated", webhook, previousSecretUntil: prevSecretUntil } as const
      }, Effect.orDie)

      const remove = Effect.fn("Webhooks.remove")(function* (
        id: string,
        act: AdminAct,
        visibility: Visibility
      ) {
        const [row] = yield* sql<{ readonly removed: boolean }>`
          select delete_webhook_v1(
            ${LOG_ID}::smallint, ${id}::uuid, ${orgsOf(sql, visibility)}, ${adminAct(sql, act)}) as removed`
        return row?.removed === true
      }, Effect.orDie)

      const disable = Effect.fn("Webhooks.disable")(function* (
        { id, url }: { readonly id: string; readonly url: string },
        reason: DisabledReason,
        events: ReadonlyArray<SealedEvent>,
        directoryVersion: number,
        act: AdminAct
      ) {
        const [row] = yield* sql<{ readonly outcome: "ok" | "unchanged" | "changed" }>`
          select disable_webhook_v1(
            ${LOG_ID}::smallint, ${directoryVersion}::bigint, ${id}::uuid, ${url}, ${reason},
            (${ledgerEvents(sql, events)})[1], ${adminAct(sql, act)}) as outcome`
        return row?.outcome === "changed" ? new Stale() : row?.outcome === "ok"
      }, Effect.orDie)

      return { list, findById, create, update, remove, disable }
    })
  )
}

/** The organisations whose subscriptions are visible; null is all. */
const orgsOf = (sql: Sql, visibility: Visibility) =>
  sql`${visibility._tag === "all" ? null : visibility.orgIds}::uuid[]`
