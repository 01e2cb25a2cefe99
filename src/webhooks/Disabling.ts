import { Clock, Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { system } from "../access/Principal.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import type { DisabledReason } from "./model.ts"
import { Webhooks } from "./Webhooks.ts"

/** Subscriptions that the service itself stops to serve. */
export class Disabling extends Context.Service<
  Disabling,
  {
    /**
     * Makes a subscription inactive, with the event `webhook.disabled` and an audit row; an operator activates it again.
     * True for the one call that did it: false when it is gone, inactive already or has another URL by now.
     * @param target with the URL that the failed attempts went to
     */
    readonly disable: (
      target: { readonly id: string; readonly url: string },
      reason: DisabledReason
    ) => Effect.Effect<boolean>
  }
>()("cp/webhooks/Disabling") {
  static readonly layer = Layer.effect(
    Disabling,
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom
      const webhooks = yield* Webhooks

      const disable = Effect.fn("Disabling.disable")(function* (
        { id, url }: { readonly id: string; readonly url: string },
        reason: DisabledReason
      ) {
        const receivedAt = yield* Clock.currentTimeMillis
        const event = ownEvent({
          id: yield* random.uuidV7(),
          type: "webhook.disabled",
          ts: receivedAt,
          aidA: null,
          namespace: null,
          payload: { webhookId: id, url, reason }
        })
        const act = {
          id: yield* random.uuidV7(),
          action: "webhook.auto-disable",
          actorId: system.actorId,
          targetId: id,
          details: { url, reason },
          requestId: null
        }
        return yield* ingest.act(
          { principal: system, receivedAt },
          Effect.succeed([event]),
          (sealed, directoryVersion) => webhooks.disable({ id, url }, reason, sealed, directoryVersion, act)
        )
      })

      return { disable }
    })
  )
}
