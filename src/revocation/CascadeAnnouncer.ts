import { Clock, Context, Effect, Layer, Option } from "effect"
import { system } from "../access/Principal.ts"
import { onBackground } from "../db/Db.ts"
import { idFromName } from "../events/event-id.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { OWN_SOURCE } from "../events/types.ts"
import { everyInterval } from "../jobs/loop.ts"
import { type CascadeChunk, RevocationCascades } from "./RevocationCascades.ts"
import { singleFlight } from "./single-flight.ts"

const TYPE = "delegation.revoked"
/** Events written in one call. */
const CHUNK = 500
/** How often it is looked for cascades whose replica died, ms. */
const LOOK_MS = 2000

/** Made of the two ids alone, so that a chunk that is written again after a crash is in the ledger once. */
const eventsOf = ({ delegations, revokedAt, root }: CascadeChunk) =>
  delegations.map((jti) =>
    ownEvent({
      id: idFromName(`${TYPE}/${root}/${jti}`, system.actorId, OWN_SOURCE),
      type: TYPE,
      ts: revokedAt.getTime(),
      aidA: null,
      namespace: null,
      payload: { jti, reason: "parent_revoked", root }
    })
  )

/**
 * Tells the ledger of each delegation that a revocation took with it. Their rows were changed by the revocation itself; the
 * events say so afterwards, in chunks, because thousands of them would hold up everyone else who appends.
 */
export class CascadeAnnouncer extends Context.Service<
  CascadeAnnouncer,
  {
    /** Writes in the background what is still to be written. */
    readonly start: () => void
    /** Writes what is still to be written and nobody else is at; the count of events. */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/revocation/CascadeAnnouncer") {
  static readonly layer = Layer.effect(
    CascadeAnnouncer,
    Effect.gen(function* () {
      const cascades = yield* RevocationCascades
      const ingest = yield* Ingest

      const announce = Effect.fnUntraced(function* (first: CascadeChunk) {
        let written = 0
        for (let next = Option.some(first); Option.isSome(next);) {
          const chunk: CascadeChunk = next.value
          if (chunk.delegations.length === 0) {
            yield* cascades.finish(chunk)
            return written
          }
          const receivedAt = yield* Clock.currentTimeMillis
          // without a reservation there is none to lose
          yield* Effect.orDie(ingest.record({ principal: system, receivedAt }, eventsOf(chunk)))
          written += chunk.delegations.length
          next = yield* cascades.advance(chunk, CHUNK)
        }
        return written
      })

      const runOnce = Effect.gen(function* () {
        let written = 0
        for (;;) {
          const chunk = yield* cascades.claim(CHUNK)
          if (Option.isNone(chunk)) return written
          written += yield* announce(chunk.value)
        }
      }).pipe(onBackground, Effect.withSpan("CascadeAnnouncer.runOnce"))

      const flight = yield* singleFlight(
        Effect.catchCause(runOnce, (cause) =>
          Effect.logInfo("the events of a revocation's cascade will be written later", cause)
        )
      )
      return { start: () => void flight.start(), runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* CascadeAnnouncer
      yield* everyInterval("events of cascades", LOOK_MS, runOnce)
    })
  )
}
