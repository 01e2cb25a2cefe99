import { Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import type { Completion, ReservationLost } from "../idempotency/model.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import { LastSeen } from "../registry/LastSeen.ts"
import { EventOwners, type Stale } from "./EventOwners.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { LedgerHints } from "./LedgerHints.ts"
import type { NewEvent, Recorded } from "./model.ts"
import { mayBeDelivered, seal, type SealedEvent } from "./seal.ts"

/** Who reports, and when. */
export interface Reporter {
  readonly principal: Principal
  /** Receipt of the request, ms since 1970. */
  readonly receivedAt: number
}

/**
 * The one way into the ledger. Whatever is recorded has been committed when the effect succeeds; a repeat of events
 * already known changes nothing.
 */
export class Ingest extends Context.Service<
  Ingest,
  {
    /**
     * Appends the events, at least one, in order, together with those of other requests that are waiting. The completion
     * of the request's idempotency key commits with them; when the key has been taken over, nothing is stored.
     */
    readonly record: (
      reporter: Reporter,
      events: ReadonlyArray<NewEvent>,
      completion?: Completion
    ) => Effect.Effect<Recorded, ReservationLost>
    /**
     * Runs an act that appends events together with rows of its own, in one SQL call that takes the head row first.
     * When that call finds that what the events say, or who owns them, no longer holds, it answers `Stale` and the
     * whole is run again, events included.
     */
    readonly act: <A, E, R, E2, R2>(
      reporter: Reporter,
      events: Effect.Effect<ReadonlyArray<NewEvent>, E, R>,
      run: (sealed: ReadonlyArray<SealedEvent>, directoryVersion: number) => Effect.Effect<A | Stale, E2, R2>
    ) => Effect.Effect<A, E | E2, R | R2>
  }
>()("cp/events/Ingest") {
  static readonly layer = Layer.effect(
    Ingest,
    Effect.gen(function* () {
      const group = yield* GroupCommit
      const hints = yield* LedgerHints
      const keys = yield* DataKeys
      const lastSeen = yield* LastSeen
      const owners = yield* EventOwners
      const random = yield* SecureRandom.SecureRandom

      /** The attempt stays the same over all tries, so that one whose answer was lost is recognised as this one. */
      const provenanceOf = ({ principal, receivedAt }: Reporter) =>
        Effect.map(random.uuidV4(), (attemptId) => ({
          owner: principal.owner,
          reportedBy: principal.actorId,
          receivedAt,
          attemptId,
          contentHash: keys.contentHash
        }))

      const act = Effect.fn("Ingest.act")(function* <A, E, R, E2, R2>(
        reporter: Reporter,
        makeEvents: Effect.Effect<ReadonlyArray<NewEvent>, E, R>,
        run: (
          sealed: ReadonlyArray<SealedEvent>,
          directoryVersion: number
        ) => Effect.Effect<A | Stale, E2, R2>
      ) {
        const provenance = yield* provenanceOf(reporter)
        let enqueued = false
        const result = yield* owners.appending(makeEvents, (events, { of, subscribed, version }) => {
          const sealed = seal(events, { ...provenance, orgIdsOf: of, subscribed })
          enqueued = mayBeDelivered(sealed)
          return run(sealed, version)
        })
        hints.nudge(enqueued)
        return result
      })

      const record = Effect.fnUntraced(function* (
        reporter: Reporter,
        events: ReadonlyArray<NewEvent>,
        completion?: Completion
      ) {
        const recorded = yield* group.commit({
          events,
          completion,
          provenance: yield* provenanceOf(reporter)
        })
        lastSeen.note(
          events.flatMap(({ aidA, aidB }) => [aidA, aidB]),
          reporter.receivedAt
        )
        return recorded
      })

      return { act, record }
    })
  )
}
