import { Clock, Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { system } from "../access/Principal.ts"
import { AppConfig } from "../config.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { onBackground } from "../db/Db.ts"
import { everyInterval } from "../jobs/loop.ts"
import { Agents, type OverdueAgent } from "./Agents.ts"

/** Agents expired in one call. */
const BATCH = 500

/** Marks agents whose manifest has run out and announces each once, however many replicas sweep. */
export class ExpirySweep extends Context.Service<
  ExpirySweep,
  {
    /** Expires all that are due now; the count of agents it expired itself. */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/registry/ExpirySweep") {
  static readonly layer = Layer.effect(
    ExpirySweep,
    Effect.gen(function* () {
      const agents = yield* Agents
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom

      const expire = Effect.fnUntraced(function* (overdue: ReadonlyArray<OverdueAgent>) {
        const receivedAt = yield* Clock.currentTimeMillis
        const events = yield* Effect.forEach(overdue, ({ aid, displayName, namespace }) =>
          Effect.map(random.uuidV7(), (id) =>
            ownEvent({
              id,
              type: "agent.expired",
              ts: receivedAt,
              aidA: aid,
              namespace,
              payload: { displayName, namespace, reason: "manifest_expired" }
            })
          )
        )
        return yield* ingest.act(
          { principal: system, receivedAt },
          Effect.succeed(events),
          (sealed, directoryVersion) => agents.expire(overdue, sealed, directoryVersion)
        )
      })

      const runOnce = Effect.gen(function* () {
        let expired = 0
        for (;;) {
          const overdue = yield* agents.listOverdue(BATCH)
          if (overdue.length > 0) expired += yield* expire(overdue)
          if (overdue.length < BATCH) return expired
        }
      }).pipe(Effect.withSpan("ExpirySweep.runOnce"))

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { retention } = yield* AppConfig
      const { runOnce } = yield* ExpirySweep
      yield* everyInterval("expiry sweep", retention.expirySweepIntervalMs, runOnce)
    })
  )
}
