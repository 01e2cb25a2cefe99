import { Context, Effect, Layer, Option } from "effect"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import { MAX_NEW_PER_DAY } from "./model.ts"

/** Store of what issuers revoke by their own lists. */
export class IssuerRevocations extends Context.Service<
  IssuerRevocations,
  {
    /**
     * How many entries of the copy of this agent's list are not among the ids although the token may still be valid.
     * @param ids text of a `uuid[]`
     */
    readonly missing: (aid: string, ids: string) => Effect.Effect<number>
    /**
     * Records what an agent's list revokes, and marks what was delegated from it; what is known already changes nothing.
     * Gives how many ids are new or revoked earlier than was known; none when these are too many for a day, and then nothing
     * is recorded.
     * @param entries JSON array of `{jti, revoked_at, reason}`, each id once; a thousand of them hold up appends for 15 ms
     */
    readonly record: (aid: string, entries: string) => Effect.Effect<Option.Option<number>>
  }
>()("cp/issuer-lists/IssuerRevocations") {
  static readonly layer = Layer.effect(
    IssuerRevocations,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const missing = Effect.fn("IssuerRevocations.missing")(function* (aid: string, ids: string) {
        const [row] = yield* sql<{ readonly missing: number }>`
          select missing_issuer_revocations_v1(${LOG_ID}::smallint, ${aid}, ${ids}::text::uuid[]) as missing`
        return row === undefined ? yield* Effect.die(new Error("the comparison gave no row")) : row.missing
      }, Effect.orDie)

      const record = Effect.fn("IssuerRevocations.record")(function* (aid: string, entries: string) {
        const [row] = yield* sql<{ readonly recorded: number }>`
          select record_issuer_revocations_v1(${LOG_ID}::smallint, ${aid}, ${entries}::text::json, ${MAX_NEW_PER_DAY}::int) as recorded`
        if (row === undefined) return yield* Effect.die(new Error("the record gave no row"))
        return row.recorded < 0 ? Option.none() : Option.some(row.recorded)
      }, Effect.orDie)

      return { missing, record }
    })
  )
}
