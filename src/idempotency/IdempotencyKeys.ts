import { Context, Effect, Layer, Result } from "effect"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import { REWRAP_BATCH, rewrap, type Rewrapped } from "../identity/rewrap.ts"
import { idempotencyCompletion } from "./completion.ts"
import { type Answer, bodyContext, type Completion, type Identity, type Reservation } from "./model.ts"

/** What is known of a key when a request comes with it. */
export type Found =
  | { readonly _tag: "Reserved"; readonly takenOver: boolean }
  | { readonly _tag: "InProgress" }
  | { readonly _tag: "Reused" }
  | { readonly _tag: "Done"; readonly answer: Answer }

interface Row {
  readonly outcome: "reserved" | "taken_over" | "in_progress" | "reused" | "done"
  readonly responseStatus: number
  readonly facts: unknown
  readonly responseBody: Uint8Array | null
  readonly mediaType: string | null
  readonly encrypted: boolean
}

/** A row whose body shows a secret. */
interface Encrypted {
  readonly credentialHash: Uint8Array
  readonly key: string
  readonly body: Uint8Array
}

const answerOf = ({ facts, mediaType, responseBody, responseStatus }: Row): Answer => ({
  status: responseStatus,
  ...(facts === null ? {} : { facts }),
  ...(responseBody === null
    ? {}
    : { body: { bytes: responseBody, mediaType: mediaType ?? "application/json" } })
})

const foundOf = (row: Row): Found => {
  switch (row.outcome) {
    case "reserved":
      return { _tag: "Reserved", takenOver: false }
    case "taken_over":
      return { _tag: "Reserved", takenOver: true }
    case "in_progress":
      return { _tag: "InProgress" }
    case "reused":
      return { _tag: "Reused" }
    case "done":
      return { _tag: "Done", answer: answerOf(row) }
  }
}

/**
 * Store of idempotency keys. Each method is one statement that commits by itself; outcomes that come with effects are
 * completed by the SQL function that holds the effects, see `idempotencyCompletion`.
 */
export class IdempotencyKeys extends Context.Service<
  IdempotencyKeys,
  {
    /** Reserves the key under the lease token, or says why not. Waits for another request only while that commits. */
    readonly reserve: (
      identity: Identity,
      request: { readonly fingerprint: Uint8Array; readonly leaseToken: string; readonly leaseMs: number }
    ) => Effect.Effect<Found>
    /** Stores an outcome without effects; false when the reservation no longer holds. */
    readonly complete: (completion: Completion) => Effect.Effect<boolean>
    /** Gives the key back; does nothing to one that is done or was taken over. */
    readonly release: (reservation: Reservation) => Effect.Effect<void>
    /**
     * Removes at most `limit` rows reserved before `before`, also abandoned ones whose lease died before then; the
     * count of these.
     */
    readonly prune: (before: Date, limit: number) => Effect.Effect<number>
    /** Brings the encrypted answers of a route under the current key. */
    readonly rewrap: (scope: string) => Effect.Effect<Rewrapped>
  }
>()("cp/idempotency/IdempotencyKeys") {
  static readonly layer = Layer.effect(
    IdempotencyKeys,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const dataKeys = yield* DataKeys

      /** The row with its body as it was sent. */
      const readable = (row: Row, identity: Identity) =>
        row.responseBody === null || !row.encrypted
          ? Effect.succeed(row)
          : Effect.map(
              Effect.fromResult(dataKeys.decrypt(row.responseBody, bodyContext(identity))),
              (responseBody): Row => ({ ...row, responseBody })
            )

      const reserve = Effect.fn("IdempotencyKeys.reserve")(function* (
        identity: Identity,
        request: { readonly fingerprint: Uint8Array; readonly leaseToken: string; readonly leaseMs: number }
      ) {
        const { credentialHash, key, scope } = identity
        const [row] = yield* sql<Row>`
          select outcome, response_status, facts, response_body, media_type, encrypted from reserve_idempotency_v1(
            ${scope}, ${Buffer.from(credentialHash, "hex")}::bytea, ${key}, ${request.fingerprint}::bytea,
            ${request.leaseToken}::uuid, make_interval(secs => ${request.leaseMs / 1000}::float8))`
        if (row === undefined) return yield* Effect.die(new Error("reserve_idempotency_v1 gave no row"))
        return foundOf(yield* readable(row, identity))
      }, Effect.orDie)

      const complete = Effect.fn("IdempotencyKeys.complete")(function* (completion: Completion) {
        const [row] = yield* sql<{ readonly completed: boolean }>`
          select complete_idempotency_v1(${idempotencyCompletion(sql, completion)}) as completed`
        return row?.completed === true
      }, Effect.orDie)

      const release = Effect.fn("IdempotencyKeys.release")(function* (reservation: Reservation) {
        yield* sql`
          delete from idempotency_keys
          where scope = ${reservation.scope} and key = ${reservation.key}
            and credential_hash = ${Buffer.from(reservation.credentialHash, "hex")}::bytea
            and state = 'in_progress' and lease_token = ${reservation.leaseToken}::uuid`
      }, Effect.orDie)

      const prune = Effect.fn("IdempotencyKeys.prune")(function* (before: Date, limit: number) {
        const removed = yield* sql`
          delete from idempotency_keys k using (
            select scope, credential_hash, key from idempotency_keys
            where created_at < ${before}::timestamptz and (state = 'done' or lease_until < ${before}::timestamptz)
            order by created_at limit ${limit}::int for update skip locked) as old
          where k.scope = old.scope and k.credential_hash = old.credential_hash and k.key = old.key
          returning 1 as removed`
        return removed.length
      }, Effect.orDie)

      const rewrapScope = Effect.fn("IdempotencyKeys.rewrap")(function* (scope: string) {
        const { header } = dataKeys
        return yield* rewrap<Encrypted, readonly [row: Encrypted, body: Uint8Array]>({
          read: (after) =>
            Effect.orDie(sql<Encrypted>`
              select credential_hash, key, response_body as body from idempotency_keys
              where scope = ${scope} and encrypted and substr(response_body, 1, ${header.length}::int) <> ${header}::bytea
                and (credential_hash, key) > (${after?.credentialHash ?? Buffer.alloc(0)}::bytea, ${after?.key ?? ""})
              order by credential_hash, key limit ${REWRAP_BATCH}::int`),
          change: (row) => {
            const credentialHash = Buffer.from(row.credentialHash).toString("hex")
            const context = bodyContext({ scope, credentialHash, key: row.key })
            return Result.map(dataKeys.decrypt(row.body, context), (body) => [
              row,
              dataKeys.encrypt(body, context)
            ])
          },
          write: (changed) =>
            Effect.map(
              Effect.orDie(sql`
                update idempotency_keys k set response_body = c.body
                from unnest(
                  ${byteaArray(changed.map(([row]) => row.credentialHash))}::bytea[],
                  ${textArray(changed.map(([row]) => row.key))}::text[],
                  ${byteaArray(changed.map(([row]) => row.body))}::bytea[],
                  ${byteaArray(changed.map(([, body]) => body))}::bytea[]) as c (credential_hash, key, known, body)
                where k.scope = ${scope} and k.credential_hash = c.credential_hash and k.key = c.key
                  and k.response_body = c.known
                returning 1 as done`),
              (rows) => rows.length
            )
        })
      })

      return { reserve, complete, release, prune, rewrap: rewrapScope }
    })
  )
}
