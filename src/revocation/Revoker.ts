import { Clock, Context, Data, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import { DEFAULT_ORG } from "../access/Visibility.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { completionWith, type Reservation, ReservationLost } from "../idempotency/model.ts"
import { CascadeAnnouncer } from "./CascadeAnnouncer.ts"
import type { Cascade, Revocation, RevocationEntry } from "./model.ts"
import { RevocationEntries } from "./RevocationEntries.ts"

/** Who revokes, and under which request. */
export interface Revoking {
  readonly principal: Principal
  readonly requestId: string
  /** Of the request's idempotency key. */
  readonly reservation: Reservation | undefined
}

/** What a revocation came to: the first entry for the id, whatever a repeat asked for. */
export interface Revoked extends Omit<RevocationEntry, "createdAt"> {
  readonly alreadyRevoked: boolean
  readonly cascade: Cascade
}

/** The id was revoked before. */
class Known extends Data.TaggedError("Known")<{ readonly entry: RevocationEntry }> {}

/** Operators revoke here. */
export class Revoker extends Context.Service<
  Revoker,
  {
    /**
     * Revokes an id, whether or not anything with it was ever observed; what is observed later is revoked when it comes.
     * Committed, and the reservation completed, when the effect succeeds; the list follows, see `ListPublisher.covering`.
     * A repeat changes nothing and announces nothing, nor does it complete the reservation.
     */
    readonly revoke: (revocation: Revocation, by: Revoking) => Effect.Effect<Revoked, ReservationLost>
  }
>()("cp/revocation/Revoker") {
  static readonly layer = Layer.effect(
    Revoker,
    Effect.gen(function* () {
      const announcer = yield* CascadeAnnouncer
      const entries = yield* RevocationEntries
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom

      const add = Effect.fnUntraced(function* (
        { issuer, jti, reason, revokedAt }: Revocation,
        { principal, requestId, reservation }: Revoking
      ) {
        const [eventId, actId] = [yield* random.uuidV7(), yield* random.uuidV7()]
        let entry = { jti, revokedAt, reason, issuer: issuer ?? null }

        const makeEvents = Effect.gen(function* () {
          const known = yield* entries.lookUp(jti)
          if (known.entry !== undefined) return yield* new Known({ entry: known.entry })
          entry = { ...entry, issuer: issuer ?? known.observedIssuer }
          const payload = { jti, reason, ...(entry.issuer === null ? {} : { issuer: entry.issuer }) }
          const ts = revokedAt.getTime()
          return [ownEvent({ id: eventId, type: "tct.revoked", ts, aidA: null, namespace: null, payload })]
        })
        const receivedAt = yield* Clock.currentTimeMillis
        const outcome = yield* ingest.act({ principal, receivedAt }, makeEvents, (sealed, directoryVersion) =>
          entries.revoke(
            {
              ...entry,
              issuerGiven: issuer !== undefined,
              actorId: principal.actorId,
              organizationId: principal.owner === DEFAULT_ORG ? null : principal.owner
            },
            sealed,
            directoryVersion,
            {
              id: actId,
              action: "revocation.add",
              actorId: principal.actorId,
              targetId: jti,
              details: { reason },
              requestId
            },
            // What `revoke_v1` adds to these makes them what the answer is rendered from.
            reservation && completionWith(reservation, { ...entry, alreadyRevoked: false })
          )
        )
        if (outcome._tag === "ReservationLost") return yield* new ReservationLost()
        announcer.start()
        return { ...entry, alreadyRevoked: false, cascade: outcome.cascade }
      })

      const revoke = Effect.fn("Revoker.revoke")(function* (revocation: Revocation, by: Revoking) {
        return yield* add(revocation, by).pipe(
          Effect.catchTag("Known", ({ entry: first }) =>
            Effect.map(entries.cascadeOf(first.jti), (cascade) => {
              const { createdAt: _, ...entry } = first
              return { ...entry, alreadyRevoked: true, cascade }
            })
          )
        )
      })

      return { revoke }
    })
  )
}
