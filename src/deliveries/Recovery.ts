import { Clock, Context, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import { type Completion, ReservationLost } from "../idempotency/model.ts"
import { iso } from "../wire/time.ts"
import { WebhookNotFound } from "../webhooks/model.ts"
import { Webhooks } from "../webhooks/Webhooks.ts"
import { Breakers } from "./Breakers.ts"
import { Deliveries, type RecoveryWindow, type RequeueOutcome } from "./Deliveries.ts"
import { Dispatcher } from "./Dispatcher.ts"
import { type AttemptResult, type Breaker, DeliveryNotFound, TEST_TYPE } from "./model.ts"
import { Sender } from "./Sender.ts"
import { Targets } from "./Targets.ts"

/** Who acts, in which request. */
export interface Acting {
  readonly principal: Principal
  readonly requestId: string
}

/** What was put into the queue again. */
export interface Requeued {
  readonly requeued: number
  /** Where the next call has to begin; null when nothing is left. */
  readonly next: Date | null
}

/** Most failed deliveries, and most events never enqueued, that one call takes. */
const MAX_RECOVERED = 10_000

/** What operators do about deliveries. Each act is audited in the transaction that does it. */
export class Recovery extends Context.Service<
  Recovery,
  {
    /** Closes the circuit breaker, on all replicas; what is due goes on. */
    readonly reset: (id: string, acting: Acting) => Effect.Effect<Breaker, WebhookNotFound>
    /** Sends one message outside the queue, once, and waits for what comes of it; also to an inactive subscription. */
    readonly test: (id: string, acting: Acting) => Effect.Effect<AttemptResult, WebhookNotFound>
    readonly redeliver: (
      id: string,
      deliveryId: string,
      acting: Acting,
      completion: Completion | undefined
    ) => Effect.Effect<Requeued, WebhookNotFound | DeliveryNotFound | ReservationLost>
    readonly recover: (
      id: string,
      window: RecoveryWindow,
      acting: Acting,
      completion: Completion | undefined
    ) => Effect.Effect<Requeued, WebhookNotFound | ReservationLost>
  }
>()("cp/deliveries/Recovery") {
  static readonly layer = Layer.effect(
    Recovery,
    Effect.gen(function* () {
      const breakers = yield* Breakers
      const deliveries = yield* Deliveries
      const dispatcher = yield* Dispatcher
      const random = yield* SecureRandom.SecureRandom
      const sender = yield* Sender
      const targets = yield* Targets
      const webhooks = yield* Webhooks

      const actOf = (
        action: string,
        targetId: string,
        details: Readonly<Record<string, unknown>>,
        { principal, requestId }: Acting
      ) =>
        Effect.map(random.uuidV7(), (id) => ({
          id,
          action,
          actorId: principal.actorId,
          targetId,
          details,
          requestId
        }))

      /** Whether the caller may see the subscription. */
      const check = Effect.fnUntraced(function* (id: string, { visibility }: Principal) {
        const found = yield* webhooks.findById(id, visibility)
        if (Option.isNone(found)) return yield* new WebhookNotFound()
      })

      const reset = Effect.fn("Recovery.reset")(function* (id: string, acting: Acting) {
        yield* check(id, acting.principal)
        const act = yield* actOf("webhook.circuit-breaker.reset", id, {}, acting)
        const breaker = yield* breakers.reset(id, act)
        if (Option.isNone(breaker)) return yield* new WebhookNotFound()
        dispatcher.wake()
        return breaker.value
      })

      const test = Effect.fn("Recovery.test")(function* (id: string, acting: Acting) {
        yield* check(id, acting.principal)
        const target = yield* targets.find(id)
        if (target === undefined) return yield* new WebhookNotFound()
        const [deliveryId, eventId] = [yield* random.uuidV7(), yield* random.uuidV7()]
        const ts = iso(yield* Clock.currentTimeMillis)
        const result = yield* sender.attempt(
          {
            id: deliveryId,
            webhookId: id,
            eventId,
            eventType: TEST_TYPE,
            body: JSON.stringify({
              deliveryId,
              eventType: TEST_TYPE,
              payload: { id: eventId, type: TEST_TYPE, ts, payload: { webhookId: id }, source: "cp" },
              enqueuedAt: ts
            }),
            attempts: 0,
            retriesFrom: 0
          },
          target
        )
        const details = { deliveryId, delivered: result.status === "delivered" }
        const kept = yield* deliveries.recordTest(result, yield* actOf("webhook.test", id, details, acting))
        return kept ? result : yield* new WebhookNotFound()
      })

      const requeued = Effect.fnUntraced(function* <E>(outcome: RequeueOutcome, notFound: E) {
        if (outcome._tag === "NotFound") return yield* Effect.fail(notFound)
        if (outcome._tag === "ReservationLost") return yield* new ReservationLost()
        dispatcher.wake()
        return { requeued: outcome.requeued, next: outcome.next }
      })

      const redeliver = Effect.fn("Recovery.redeliver")(function* (
        id: string,
        deliveryId: string,
        acting: Acting,
        completion: Completion | undefined
      ) {
        yield* check(id, acting.principal)
        const act = yield* actOf("webhook.redeliver", id, { deliveryId }, acting)
        const outcome = yield* deliveries.redeliver(id, deliveryId, act, completion)
        return yield* requeued(outcome, new DeliveryNotFound())
      })

      const recover = Effect.fn("Recovery.recover")(function* (
        id: string,
        window: RecoveryWindow,
        acting: Acting,
        completion: Completion | undefined
      ) {
        yield* check(id, acting.principal)
        const { missed, since, until } = window
        const details = { since: iso(since), until: until === undefined ? null : iso(until), missed }
        const act = yield* actOf("webhook.recover", id, details, acting)
        const query = { webhookId: id, since, until, missed, limit: MAX_RECOVERED }
        const outcome = yield* deliveries.recover(query, act, completion)
        return yield* requeued(outcome, new WebhookNotFound())
      })

      return { reset, test, redeliver, recover }
    })
  )
}
