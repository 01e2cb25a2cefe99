import { randomUUID } from "node:crypto"
import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { KeySet } from "./key-set.ts"
import { ownedVisibly } from "./visible.ts"

/** The key set of an anchor. */
export interface CachedKeySet {
  readonly issuerUrl: string
  /** As received; null while there is none. */
  readonly text: string | null
  readonly cachedAt: Date | null
}

/** An anchor whose keys are due, and the right to fetch them until the claim ends. */
export interface DueAnchor {
  readonly id: string
  /** Fences what is written of the attempt. */
  readonly claim: string
  readonly issuerUrl: string
  readonly jwksUrl: string | null
  /** URL that the cached key set came from. */
  readonly source: string | null
  /** Its entity tag there. */
  readonly etag: string | null
  /** Failed attempts since the last success. */
  readonly failures: number
}

/** What came of an attempt. */
export type FetchOutcome =
  | {
      readonly _tag: "Fetched"
      readonly keySet: KeySet
      readonly source: string
      readonly etag: string | null
    }
  | { readonly _tag: "Unchanged" }
  | { readonly _tag: "Failed"; readonly reason: string }

/** Store of the key sets of trust anchors. */
export class KeySets extends Context.Service<
  KeySets,
  {
    /** None when there is no such anchor. */
    readonly findByAnchor: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<CachedKeySet>>
    /** Takes the anchor that has been due for longest, for so many ms; no two callers, here or elsewhere, get the same. */
    readonly claimDue: (leaseMs: number) => Effect.Effect<Option.Option<DueAnchor>>
    /**
     * Stores what came of an attempt, and that the next is due in so many ms; a failure leaves the last good set. False
     * when the anchor is gone, has other URLs or was claimed by another since: nothing was stored.
     */
    readonly settle: (anchor: DueAnchor, outcome: FetchOutcome, nextInMs: number) => Effect.Effect<boolean>
    /** Gives an anchor back, to be fetched by another. */
    readonly release: (anchor: DueAnchor) => Effect.Effect<void>
  }
>()("cp/trust/KeySets") {
  static readonly layer = Layer.effect(
    KeySets,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const fromNow = (ms: number) => sql`clock_timestamp() + make_interval(secs => ${ms / 1000}::float8)`

      const findByAnchor = Effect.fn("KeySets.findByAnchor")(function* (id: string, visibility: Visibility) {
        const [found] = yield* sql<CachedKeySet>`
          select a.issuer_url, a.jwks_cache as text, a.jwks_cached_at as cached_at from trust_anchors a
          where a.id = ${id}::uuid and ${ownedVisibly(sql, "a", visibility)}`
        return Option.fromUndefinedOr(found)
      }, Effect.orDie)

      const claimDue = Effect.fn("KeySets.claimDue")(function* (leaseMs: number) {
        const claim = randomUUID()
        const [due] = yield* sql<DueAnchor>`
          update trust_anchors a set jwks_claim = ${claim}::uuid, jwks_due_at = ${fromNow(leaseMs)}
          where a.id = (
            select d.id from trust_anchors d where d.jwks_due_at <= clock_timestamp()
            order by d.jwks_due_at limit 1 for update skip locked)
          returning a.id, a.jwks_claim as claim, a.issuer_url, a.jwks_url, a.jwks_source as source, a.jwks_etag as etag,
            a.jwks_failures as failures`
        return Option.fromUndefinedOr(due)
      }, Effect.orDie)

      const changeOf = (outcome: FetchOutcome) => {
        switch (outcome._tag) {
          case "Fetched":
            return sql`
              jwks_cache = ${outcome.keySet.text}, jwks_keys = ${sql.json(outcome.keySet.agentKeys)},
              jwks_source = ${outcome.source}, jwks_etag = ${outcome.etag},
              jwks_cached_at = date_trunc('milliseconds', clock_timestamp()), jwks_error = null, jwks_failures = 0`
          case "Unchanged":
            return sql`
              jwks_cached_at = date_trunc('milliseconds', clock_timestamp()), jwks_error = null, jwks_failures = 0`
          case "Failed":
            return sql`jwks_error = ${outcome.reason}, jwks_failures = jwks_failures + 1`
        }
      }

      const settle = Effect.fn("KeySets.settle")(function* (
        { claim, id }: DueAnchor,
        outcome: FetchOutcome,
        nextInMs: number
      ) {
        const rows = yield* sql`
          update trust_anchors set ${changeOf(outcome)}, jwks_due_at = ${fromNow(nextInMs)}, jwks_claim = null
          where id = ${id}::uuid and jwks_claim = ${claim}::uuid
          returning id`
        return rows.length === 1
      }, Effect.orDie)

      const release = Effect.fn("KeySets.release")(function* ({ claim, id }: DueAnchor) {
        yield* sql`
          update trust_anchors set jwks_due_at = clock_timestamp(), jwks_claim = null
          where id = ${id}::uuid and jwks_claim = ${claim}::uuid`
      }, Effect.orDie)

      return { findByAnchor, claimDue, settle, release }
    })
  )
}
