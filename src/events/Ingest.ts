import { Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import { DataKeys } from "../identity/DataKeys.ts"
import { LastSeen } from "../registry/LastSeen.ts"
import { AuditEvents, Stale } from "./AuditEvents.ts"
import { EventOwners } from "./EventOwners.ts"
import type { NewEvent, Recorded } from "./model.ts"
import { seal, type SealedEvent } from "./seal.ts"

/** Who reports, and when. */
export interface Reporter {
  readonly principal: Principal
  /** Receipt of the request, ms since 1970. */
  readonly receivedAt: number
}

/** What an act depends on changes seldom; losing the race this often in a row is a fault. */
const MAX_TRIES = 10

/**
 * The one way into the ledger. Whatever is recorded has been committed when the effect succeeds; a repeat of events
 * already known changes nothing.
 */
export class Ingest extends Context.Service<
  Ingest,
  {
    /** Appends the events, at least one, in order. */
    readonly record: (reporter: Reporter, events: ReadonlyArray<NewEvent>) => Effect.Effect<Recorded>
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
      const auditEvents = yield* AuditEvents
      const owners = yield* EventOwners
      const keys = yield* DataKeys
      const lastSeen = yield* LastSeen
      const random = yield* SecureRandom.SecureRandom

      const act = Effect.fn("Ingest.act")(function* <A, E, R, E2, R2>(
        { principal, receivedAt }: Reporter,
        makeEvents: Effect.Effect<ReadonlyArray<NewEvent>, E, R>,
        run: (
          sealed: ReadonlyArray<SealedEvent>,
          directoryVersion: number
        ) => Effect.Effect<A | Stale, E2, R2>
      ) {
        // Stays the same over the tries, so that a try whose answer was lost is recognised as this one.
        const attemptId = yield* random.uuidV4()
        for (let tries = 0; tries < MAX_TRIES; tries += 1) {
          const events = yield* makeEvents
          const { of, version } = yield* owners.lookUp(events, tries > 0)
          const sealed = seal(events, {
            owner: principal.owner,
            reportedBy: principal.actorId,
            receivedAt,
            attemptId,
            orgIdsOf: of,
            contentHash: keys.contentHash
          })
          const result = yield* run(sealed, version)
          if (!(result instanceof Stale)) return result
        }
        return yield* Effect.die(new Error(`what an act depends on changed ${MAX_TRIES} times in a row`))
      })

      const record = Effect.fnUntraced(function* (reporter: Reporter, events: ReadonlyArray<NewEvent>) {
        const recorded = yield* act(reporter, Effect.succeed(events), auditEvents.append)
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
