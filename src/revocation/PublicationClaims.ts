import { randomUUID } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { Db } from "../db/Db.ts"

/** How long a claim lasts unless it is renewed, ms. */
export const CLAIM_MS = 3000

/** The right to publish the next version; good for `CLAIM_MS`, unless it is renewed. */
export interface Claim {
  /** Fence: grows with every claim. */
  readonly term: number
  /** Newest version; 0 while there is none. */
  readonly version: number
  /** SHA-256 of its body; null while there is none. */
  readonly sha256: Uint8Array | null
  /** Unix seconds that the next version bears. */
  readonly publishedAt: number
}

/** Why there is no claim: nothing to do, somebody else is at it, or the next version would bear a time too far ahead. */
export type NoClaim =
  | { readonly _tag: "current" }
  | { readonly _tag: "held" }
  | { readonly _tag: "early"; readonly waitSecs: number }

/** What the next version may leave unsaid. */
export interface Need {
  /** Greatest age of the newest version in seconds. */
  readonly maxAgeSecs: number
  /** SHA-256 of what it must have been made from; undefined: anything. */
  readonly inputHash: Uint8Array | undefined
}

/** Store of the right to publish the next version of the list. */
export class PublicationClaims extends Context.Service<
  PublicationClaims,
  {
    /** Claims the right if there is need of a new version. */
    readonly claim: (need: Need) => Effect.Effect<Claim | NoClaim>
    /** Renews a claim; false when it no longer holds. */
    readonly renew: (claim: Claim) => Effect.Effect<boolean>
    /** Gives a claim back; does nothing when it no longer holds. */
    readonly release: (claim: Claim) => Effect.Effect<void>
  }
>()("cp/revocation/PublicationClaims") {
  static readonly layer = Layer.effect(
    PublicationClaims,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const holder = randomUUID()
      const lease = sql`make_interval(secs => ${CLAIM_MS / 1000}::float8)`

      const claim = Effect.fn("PublicationClaims.claim")(function* ({ inputHash, maxAgeSecs }: Need) {
        const [row] = yield* sql<Claim & { readonly outcome: string; readonly waitSecs: number }>`
          select
            outcome, term::float8 as term, version::float8 as version, sha256, published_at::float8 as published_at, wait_secs
          from claim_revocation_publication_v1(
            ${holder}::uuid, ${lease}, ${maxAgeSecs}::int, ${inputHash ?? null}::bytea)`
        if (row === undefined) return yield* Effect.die(new Error("the claim gave no row"))
        const { outcome, publishedAt, sha256, term, version, waitSecs } = row
        if (outcome === "claimed") return { term, version, sha256, publishedAt }
        if (outcome === "early") return { _tag: outcome, waitSecs } as const
        return outcome === "held" ? ({ _tag: outcome } as const) : ({ _tag: "current" } as const)
      }, Effect.orDie)

      const renew = Effect.fn("PublicationClaims.renew")(function* ({ term }: Claim) {
        const rows = yield* sql`
          update revocation_publication set claimed_until = clock_timestamp() + ${lease}
          where term = ${term}::bigint and holder = ${holder}::uuid and claimed_until > clock_timestamp()
          returning term::float8 as term`
        return rows.length === 1
      }, Effect.orDie)

      const release = Effect.fn("PublicationClaims.release")(function* ({ term }: Claim) {
        yield* sql`
          update revocation_publication set holder = null, claimed_until = null
          where term = ${term}::bigint and holder = ${holder}::uuid`
      }, Effect.orDie)

      return { claim, renew, release }
    })
  )
}
