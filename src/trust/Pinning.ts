import { Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { keyOfAid, parseAid } from "../aitp/aid.ts"
import { AppConfig } from "../config.ts"
import { completionWith, type Reservation, ReservationLost } from "../idempotency/model.ts"
import { type Acting, auditRow } from "./acting.ts"
import { DEFAULT_NAMESPACE, NamespaceNotVisible, type PinnedKey, PinNotFound, TrustRefused } from "./model.ts"
import { type PinName, PinnedKeys } from "./PinnedKeys.ts"

/** A pin as asked for; absent members are null. */
export interface PinRequest {
  readonly aid: string
  /** base64url, 43 or 44 characters. */
  readonly pubkey: string
  /** Empty is `default`. */
  readonly namespace?: string
  readonly label?: string | null
  /** May be past. */
  readonly expiresAt?: Date | null
}

/** What operators do with pinned keys. */
export class Pinning extends Context.Service<
  Pinning,
  {
    /** Pins, or replaces the pin that is there. The reservation, if any, is completed together with it. */
    readonly pin: (
      request: PinRequest,
      reservation: Reservation | undefined,
      acting: Acting
    ) => Effect.Effect<PinnedKey, TrustRefused | NamespaceNotVisible | ReservationLost>
    readonly unpin: (name: PinName, acting: Acting) => Effect.Effect<void, PinNotFound>
  }
>()("cp/trust/Pinning") {
  static readonly layer = Layer.effect(
    Pinning,
    Effect.gen(function* () {
      const pins = yield* PinnedKeys
      const random = yield* SecureRandom.SecureRandom
      const { enrollmentProfile } = (yield* AppConfig).keys

      const pin = Effect.fn("Pinning.pin")(function* (
        { aid, expiresAt = null, label = null, namespace, pubkey }: PinRequest,
        reservation: Reservation | undefined,
        acting: Acting
      ) {
        const keyMatchesAid = matches(aid, pubkey)
        if (keyMatchesAid === false && enrollmentProfile === "strict") {
          return yield* new TrustRefused({ message: "pubkey: is not the key in the AID" })
        }
        const given = {
          namespace: namespace || DEFAULT_NAMESPACE,
          aid,
          pubkey,
          keyMatchesAid,
          label,
          expiresAt,
          addedBy: acting.principal.actorId
        }
        const act = yield* auditRow(random, acting, {
          action: "pinned-key.upsert",
          targetId: aid,
          details: { namespace: given.namespace, pubkey }
        })
        // SQL adds the times, and who added the pin first.
        const facts = { ...given, expiresAt: expiresAt?.toISOString() ?? null }
        const outcome = yield* pins.upsert(
          given,
          act,
          reservation && completionWith(reservation, facts),
          acting.principal.visibility
        )
        switch (outcome._tag) {
          case "Pinned":
            return outcome.pin
          case "NamespaceNotVisible":
            return yield* new NamespaceNotVisible()
          case "ReservationLost":
            return yield* new ReservationLost()
        }
      })

      const unpin = Effect.fn("Pinning.unpin")(function* (name: PinName, acting: Acting) {
        const act = yield* auditRow(random, acting, {
          action: "pinned-key.delete",
          targetId: name.aid,
          details: { namespace: name.namespace }
        })
        const removed = yield* pins.remove(name, act, acting.principal.visibility)
        if (!removed) return yield* new PinNotFound()
      })

      return { pin, unpin }
    })
  )
}

/** Whether a key is the one in an AID (RFC-AITP-0001 §5.3); null when the text is no AID. */
const matches = (text: string, pubkey: string): boolean | null => {
  const aid = parseAid(text)
  return aid === undefined ? null : keyOfAid(aid).encoded === pubkey
}
