import { Context, Effect, Layer, Option } from "effect"
import { BackgroundDb } from "../db/Db.ts"

/** How long a claim of a cascade lasts, s; each chunk renews it. */
const CLAIM_SECS = 15

/** Delegations below a revoked id whose events are still to be written. */
export interface CascadeChunk {
  readonly root: string
  /** Of the entry. */
  readonly revokedAt: Date
  /** Fence: grows with every claim. */
  readonly term: number
  /** Lower-case UUIDs; empty when all have their events. */
  readonly delegations: ReadonlyArray<string>
}

/** Store of the work that revocations leave behind: one event for each delegation below. */
export class RevocationCascades extends Context.Service<
  RevocationCascades,
  {
    /** Claims the oldest cascade that nobody is at, with its next delegations. */
    readonly claim: (limit: number) => Effect.Effect<Option.Option<CascadeChunk>>
    /** Takes note that a chunk has its events, and gives the next one; none when the claim was lost. */
    readonly advance: (chunk: CascadeChunk, limit: number) => Effect.Effect<Option.Option<CascadeChunk>>
    /** Removes a cascade of which all delegations have their events. */
    readonly finish: (chunk: CascadeChunk) => Effect.Effect<void>
  }
>()("cp/revocation/RevocationCascades") {
  static readonly layer = Layer.effect(
    RevocationCascades,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const claimed = sql`claimed_until = clock_timestamp() + make_interval(secs => ${CLAIM_SECS}::float8)`
      const chunk = (limit: number) => sql`
        c.root, c.revoked_at, c.term::float8 as term, c.delegations[c.done + 1 : c.done + ${limit}::int] as delegations`

      const claim = Effect.fn("RevocationCascades.claim")(function* (limit: number) {
        const [row] = yield* sql<CascadeChunk>`
          update revocation_cascades c set term = c.term + 1, ${claimed}
          where c.root = (
            select d.root from revocation_cascades d
            where d.claimed_until is null or d.claimed_until <= clock_timestamp()
            order by d.created_at limit 1 for update skip locked)
          returning ${chunk(limit)}`
        return Option.fromUndefinedOr(row)
      }, Effect.orDie)

      const advance = Effect.fn("RevocationCascades.advance")(function* (
        { delegations, root, term }: CascadeChunk,
        limit: number
      ) {
        const [row] = yield* sql<CascadeChunk>`
          update revocation_cascades c set done = c.done + ${delegations.length}::int, ${claimed}
          where c.root = ${root}::uuid and c.term = ${term}::bigint
          returning ${chunk(limit)}`
        return Option.fromUndefinedOr(row)
      }, Effect.orDie)

      const finish = Effect.fn("RevocationCascades.finish")(function* ({ root, term }: CascadeChunk) {
        yield* sql`
          delete from revocation_cascades c
          where c.root = ${root}::uuid and c.term = ${term}::bigint and c.done >= cardinality(c.delegations)`
      }, Effect.orDie)

      return { claim, advance, finish }
    })
  )
}
