import { Clock, Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { BackgroundDb } from "../db/Db.ts"
import { RefusedCredentials } from "../http/RefusedCredentials.ts"
import { everyInterval } from "../jobs/loop.ts"
import { system } from "../access/Principal.ts"
import { adminAct } from "./act.ts"

const FLUSH_MS = 60_000
/** Addresses that an entry names, those with most refusals first. */
const NAMED_ADDRESSES = 20

/** Records refused credentials in the admin audit, one entry a minute and replica at most. */
export class RefusalAudit extends Context.Service<RefusalAudit, { readonly flush: Effect.Effect<void> }>()(
  "cp/admin-audit/RefusalAudit"
) {
  static readonly layer = Layer.effect(
    RefusalAudit,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const refusals = yield* RefusedCredentials
      const random = yield* SecureRandom.SecureRandom
      let since = yield* Clock.currentTimeMillis

      const flush = Effect.gen(function* () {
        const refused = refusals.take()
        const until = yield* Clock.currentTimeMillis
        if (refused.count > 0) {
          const addresses = [...refused.byAddress].toSorted(([, a], [, b]) => b - a).slice(0, NAMED_ADDRESSES)
          const act = {
            id: yield* random.uuidV7(),
            action: "auth.refused",
            actorId: system.actorId,
            targetId: null,
            details: {
              count: refused.count,
              since: new Date(since).toISOString(),
              until: new Date(until).toISOString(),
              addresses: Object.fromEntries(addresses)
            },
            requestId: null
          }
          yield* sql`select record_admin_act_v1(${adminAct(sql, act)})`.pipe(
            Effect.tapError(() => Effect.sync(() => refusals.putBack(refused)))
          )
        }
        since = until
      }).pipe(Effect.withSpan("RefusalAudit.flush"), Effect.orDie)

      return { flush }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { flush } = yield* RefusalAudit
      // What was counted last is recorded when the service stops.
      yield* Effect.addFinalizer(() => Effect.ignoreCause(flush))
      yield* everyInterval("record of refused credentials", FLUSH_MS, flush)
    })
  )
}
