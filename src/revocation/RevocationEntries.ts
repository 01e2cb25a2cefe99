import { Context, Effect, Layer, Option } from "effect"
import type { Statement } from "effect/sql"
import type { Visibility } from "../access/Visibility.ts"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import { Stale } from "../events/EventOwners.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "../events/seal.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import { type Cascade, type EntryQuery, MAX_SHOWN, type Revocation, type RevocationEntry } from "./model.ts"

/** A revocation with everything that is stored of it. */
export interface NewEntry extends Omit<Revocation, "issuer"> {
  readonly issuer: string | null
  /** False: `issuer` is whom `lookUp` found; the revocation is refused as stale when somebody else is found by then. */
  readonly issuerGiven: boolean
  readonly actorId: string
  /** Null spans all organisations. */
  readonly organizationId: string | null
}

export type RevokeOutcome =
  | { readonly _tag: "Revoked"; readonly cascade: Cascade }
  | { readonly _tag: "ReservationLost" }

/** What is known of an id before it is revoked. */
export interface Known {
  /** None of it is limited to what a caller may see: an id is revoked once. */
  readonly entry: RevocationEntry | undefined
  readonly observedIssuer: string | null
}

/** Store of what operators have revoked. */
export class RevocationEntries extends Context.Service<
  RevocationEntries,
  {
    /** A page, newest `createdAt` first, then by id; holds one entry more than `limit` when there are more. */
    readonly list: (
      query: EntryQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<RevocationEntry>>
    readonly findById: (jti: string, visibility: Visibility) => Effect.Effect<Option.Option<RevocationEntry>>
    readonly lookUp: (jti: string) => Effect.Effect<Known>
    /**
     * Writes entry, event, fact, audit row and the flags of everything below, and completes the reservation, whose facts get
     * `cascade` here, in one call; `Stale`: somebody else was first, or the issuer is another one: look again and repeat.
     */
    readonly revoke: (
      entry: NewEntry,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      act: AdminAct,
      completion: Completion | undefined
    ) => Effect.Effect<RevokeOutcome | Stale>
    /** What an entry for this id revokes of what has been observed by now. */
    readonly cascadeOf: (jti: string) => Effect.Effect<Cascade>
    /** The first version of the list that knows the entry; null while there is none. */
    readonly listVersionOf: (jti: string) => Effect.Effect<number | null>
    /** Decides for all entries when they may leave the list, see `settle_revocation_expiry_v1`. */
    readonly settleExpiry: Effect.Effect<void>
  }
>()("cp/revocation/RevocationEntries") {
  static readonly layer = Layer.effect(
    RevocationEntries,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const columns = sql`e.jti, e.revoked_at, e.reason, e.issuer, e.created_at`

      const list = Effect.fn("RevocationEntries.list")(function* (query: EntryQuery, visibility: Visibility) {
        return yield* sql<RevocationEntry>`
          select ${columns} from revocation_entries e
          where ${sql.and(conditionsOf(query, visibility))}
          order by e.created_at desc, e.jti desc
          limit ${query.limit + 1}::int offset ${query.offset}::int`
      }, Effect.orDie)

      const conditionsOf = ({ after, issuers, since }: EntryQuery, visibility: Visibility) => {
        const conditions: Array<Statement.Fragment> = [visibleTo(visibility)]
        if (issuers !== undefined) conditions.push(sql`e.issuer = any(${issuers})`)
        if (since !== undefined) conditions.push(sql`e.created_at >= ${since}::timestamptz`)
        if (after !== undefined) {
          conditions.push(sql`(e.created_at, e.jti) < (${after.createdAt}::timestamptz, ${after.jti}::uuid)`)
        }
        return conditions
      }

      const visibleTo = (visibility: Visibility) =>
        visibility._tag === "all" ? sql`true` : sql`e.organization_id = any(${visibility.orgIds}::uuid[])`

      const findById = Effect.fn("RevocationEntries.findById")(function* (
        jti: string,
        visibility: Visibility
      ) {
        const [entry] = yield* sql<RevocationEntry>`
          select ${columns} from revocation_entries e where e.jti = ${jti}::uuid and ${visibleTo(visibility)}`
        return Option.fromUndefinedOr(entry)
      }, Effect.orDie)

      const lookUp = Effect.fn("RevocationEntries.lookUp")(function* (jti: string) {
        const [row] = yield* sql<{ [Name in keyof RevocationEntry]: RevocationEntry[Name] | null } & Known>`
          select ${columns}, observed_issuer_v1(${LOG_ID}::smallint, ${jti}::uuid) as observed_issuer
          from (select) as one left join revocation_entries e on e.jti = ${jti}::uuid`
        if (row === undefined) return yield* Effect.die(new Error("the look-up gave no row"))
        const { createdAt, issuer, jti: known, observedIssuer, reason, revokedAt } = row
        const entry =
          known === null || createdAt === null || revokedAt === null
            ? undefined
            : { jti: known, revokedAt, reason, issuer, createdAt }
        return { entry, observedIssuer }
      }, Effect.orDie)

      const revoke = Effect.fn("RevocationEntries.revoke")(function* (
        entry: NewEntry,
        events: ReadonlyArray<SealedEvent>,
        directoryVersion: number,
        act: AdminAct,
        completion: Completion | undefined
      ) {
        const [row] = yield* sql<{
          readonly outcome: "ok" | "repeat" | "changed" | "lost"
          readonly revoked: Cascade
        }>`
          select outcome, revoked from revoke_v1(
            ${LOG_ID}::smallint, ${directoryVersion}::bigint,
            row(${entry.jti}::uuid, ${entry.issuer}::text, ${entry.issuerGiven}::boolean,
              ${entry.revokedAt}::timestamptz, ${entry.reason}::text, ${entry.actorId}::text,
              ${entry.organizationId}::uuid)::revocation_v1,
            (${ledgerEvents(sql, events)})[1], ${adminAct(sql, act)},
            ${completion === undefined ? sql`null` : idempotencyCompletion(sql, completion)}, ${MAX_SHOWN}::int)`
        switch (row?.outcome) {
          case "ok":
            return { _tag: "Revoked", cascade: row.revoked } as const
          case "lost":
            return { _tag: "ReservationLost" } as const
          case "repeat":
          case "changed":
            return new Stale()
          case undefined:
            return yield* Effect.die(new Error("the revocation gave no row"))
        }
      }, Effect.orDie)

      const cascadeOf = Effect.fn("RevocationEntries.cascadeOf")(function* (jti: string) {
        const [row] = yield* sql<{ readonly revoked: Cascade }>`
          select revocation_cascade_v1(
            ${LOG_ID}::smallint, ${jti}::uuid, delegations_below_v1(${LOG_ID}::smallint, ${jti}::uuid),
            ${MAX_SHOWN}::int) as revoked`
        return row === undefined ? yield* Effect.die(new Error("the cascade gave no row")) : row.revoked
      }, Effect.orDie)

      const listVersionOf = Effect.fn("RevocationEntries.listVersionOf")(function* (jti: string) {
        const [row] = yield* sql<{ readonly version: number | null }>`
          select list_version::float8 as version from revocation_entries where jti = ${jti}::uuid`
        return row?.version ?? null
      }, Effect.orDie)

      const settlePage = Effect.fnUntraced(function* (after: string | null) {
        const [row] = yield* sql<{ readonly last: string | null }>`
          select settle_revocation_expiry_v1(${LOG_ID}::smallint, ${after}::uuid, ${SETTLED}::int) as last`
        return row?.last ?? null
      })

      const settleExpiry = Effect.gen(function* () {
        let last = yield* settlePage(null)
        while (last !== null) last = yield* settlePage(last)
      }).pipe(Effect.withSpan("RevocationEntries.settleExpiry"), Effect.orDie)

      return { list, findById, lookUp, revoke, cascadeOf, listVersionOf, settleExpiry }
    })
  )
}

/** Entries settled in one statement. */
const SETTLED = 1000
