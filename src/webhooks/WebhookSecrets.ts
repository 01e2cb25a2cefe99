import { Context, Effect, Layer, Option, Result } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import { REWRAP_BATCH, rewrap, type Rewrapped } from "../identity/rewrap.ts"
import type { DataUnreadable } from "../identity/ciphertext.ts"
import type { WebhookTarget } from "./model.ts"
import {
  encryptCurrent,
  encryptPrevious,
  type OpenSecrets,
  openSecrets,
  type StoredSecrets
} from "./stored-secrets.ts"

/** The secrets of a subscription, and what names this state of them when they are replaced. */
export interface KnownSecrets {
  readonly stored: Uint8Array
  readonly open: Result.Result<OpenSecrets, DataUnreadable>
}

/** Under how many rows are encrypted: the key that encrypts now, another one of the ring, one that is not in it. */
export interface SecretsByKey {
  readonly current: number
  readonly other: number
  readonly unknown: number
}

/** Store of the secrets in the rows of subscriptions. */
export class WebhookSecrets extends Context.Service<
  WebhookSecrets,
  {
    /** Where deliveries of these subscriptions go, by id, in one statement; those that are gone are missing. */
    readonly findTargets: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, WebhookTarget>>
    readonly findById: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<KnownSecrets>>
    /** Brings all under the current key. */
    readonly rewrap: Effect.Effect<Rewrapped>
    /** Forgets previous secrets that are no longer valid; the count of these. */
    readonly dropExpired: Effect.Effect<number>
    readonly countByKey: Effect.Effect<SecretsByKey>
  }
>()("cp/webhooks/WebhookSecrets") {
  static readonly layer = Layer.effect(
    WebhookSecrets,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const keys = yield* DataKeys

      const columns = sql`
        w.id, w.secret_enc, case when w.prev_secret_until > clock_timestamp() then w.prev_secret_enc end as prev_secret_enc`

      const targetOf = (row: StoredSecrets & Omit<WebhookTarget, "secrets">): WebhookTarget => {
        const { active, id, url } = row
        const open = openSecrets(keys, row)
        if (Result.isFailure(open)) return { id, url, active, secrets: undefined }
        const { current, previous } = open.success
        return { id, url, active, secrets: previous === undefined ? [current] : [current, previous] }
      }

      const findTargets = Effect.fn("WebhookSecrets.findTargets")(function* (ids: ReadonlyArray<string>) {
        const rows = yield* sql<StoredSecrets & Omit<WebhookTarget, "secrets">>`
          select ${columns}, w.url, w.active from webhooks w where w.id = any(${textArray(ids)}::uuid[])`
        return new Map(rows.map((row) => [row.id, targetOf(row)]))
      }, Effect.orDie)

      const findById = Effect.fn("WebhookSecrets.findById")(function* (id: string, visibility: Visibility) {
        const visible =
          visibility._tag === "all" ? sql`true` : sql`w.organization_id = any(${visibility.orgIds}::uuid[])`
        const [row] = yield* sql<StoredSecrets>`
          select ${columns} from webhooks w where w.id = ${id}::uuid and ${visible}`
        return Option.map(Option.fromUndefinedOr(row), (row) => ({
          stored: row.secretEnc,
          open: openSecrets(keys, row)
        }))
      }, Effect.orDie)

      const rewrapAll = rewrap<StoredSecrets, readonly [before: StoredSecrets, after: StoredSecrets]>({
        read: (after) =>
          Effect.orDie(sql<StoredSecrets>`
            select w.id, w.secret_enc, w.prev_secret_enc from webhooks w
            where w.key_id <> ${keys.keyId} and ${after === undefined ? sql`true` : sql`w.id > ${after.id}::uuid`}
            order by w.id limit ${REWRAP_BATCH}::int`),
        change: (row) =>
          Result.map(openSecrets(keys, row), ({ current, previous }) => [
            row,
            {
              id: row.id,
              secretEnc: encryptCurrent(keys, row.id, current),
              prevSecretEnc: previous === undefined ? null : encryptPrevious(keys, row.id, previous)
            }
          ]),
        write: (changed) =>
          Effect.map(
            Effect.orDie(sql`
              update webhooks w set secret_enc = c.secret, prev_secret_enc = c.previous, key_id = ${keys.keyId}
              from unnest(
                ${textArray(changed.map(([{ id }]) => id))}::uuid[],
                ${byteaArray(changed.map(([before]) => before.secretEnc))}::bytea[],
                ${byteaArray(changed.map(([before]) => before.prevSecretEnc))}::bytea[],
                ${byteaArray(changed.map(([, after]) => after.secretEnc))}::bytea[],
                ${byteaArray(changed.map(([, after]) => after.prevSecretEnc))}::bytea[]
              ) as c (id, known_secret, known_previous, secret, previous)
              where w.id = c.id and w.secret_enc = c.known_secret
                and w.prev_secret_enc is not distinct from c.known_previous
              returning w.id`),
            (rows) => rows.length
          )
      }).pipe(Effect.withSpan("WebhookSecrets.rewrap"))

      const dropExpired = sql`
        update webhooks w set prev_secret_enc = null, prev_secret_until = null
        where w.prev_secret_until <= clock_timestamp()
        returning w.id`.pipe(
        Effect.map((rows) => rows.length),
        Effect.withSpan("WebhookSecrets.dropExpired"),
        Effect.orDie
      )

      const countByKey = sql<{ readonly keyId: string; readonly n: number }>`
        select key_id, count(*)::int as n from webhooks group by key_id`.pipe(
        Effect.map((rows) => {
          const count = (matches: (keyId: string) => boolean) =>
            rows.reduce((sum, { keyId, n }) => sum + (matches(keyId) ? n : 0), 0)
          return {
            current: count((id) => id === keys.keyId),
            other: count((id) => id !== keys.keyId && keys.has(id)),
            unknown: count((id) => !keys.has(id))
          }
        }),
        Effect.withSpan("WebhookSecrets.countByKey"),
        Effect.orDie
      )

      return { findTargets, findById, rewrap: rewrapAll, dropExpired, countByKey }
    })
  )
}
