import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Egress } from "../egress/Egress.ts"
import { webhookTargets } from "../egress/policy.ts"
import { DeliveryMetrics } from "./DeliveryMetrics.ts"
import { type AttemptResult, MAX_RESPONSE_BYTES, type Outgoing, type Target, TEST_TYPE } from "./model.ts"
import { type Outcome, outcomeOf, unsigned } from "./outcome.ts"
import { delayAfter, retryPolicy, withoutRetries } from "./retry.ts"
import { attemptHeaders } from "./signature.ts"
import { SigningKey } from "./SigningKey.ts"

/** Longest wait in ms for the rest of an answer whose headers have come: it decides nothing any more. */
const BODY_TIMEOUT_MS = 2000

/** Makes single attempts: signs, sends through the guarded client, and judges what comes back. */
export class Sender extends Context.Service<
  Sender,
  {
    /** One attempt. Whatever comes of it is a result; interruption closes the connection. */
    readonly attempt: (delivery: Outgoing, target: Target) => Effect.Effect<AttemptResult>
  }
>()("cp/deliveries/Sender") {
  static readonly layer = Layer.effect(
    Sender,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const egress = yield* Egress
      const metrics = yield* DeliveryMetrics
      const { signer } = yield* SigningKey
      const { timeoutMs } = settings.webhooks
      const policy = webhookTargets(settings)
      const retries = retryPolicy(settings.webhooks)

      const send = (delivery: Outgoing, { keys, url }: Target, n: number): Effect.Effect<Outcome> => {
        if (keys === undefined) return Effect.succeed(unsigned)
        const body = Buffer.from(delivery.body)
        return egress
          .send({
            method: "POST",
            url,
            headers: attemptHeaders(delivery, body, n, Math.floor(Date.now() / 1000), keys, signer),
            body,
            policy,
            connectTimeoutMs: timeoutMs,
            headersTimeoutMs: timeoutMs,
            bodyTimeoutMs: Math.min(timeoutMs, BODY_TIMEOUT_MS),
            maxResponseBytes: MAX_RESPONSE_BYTES
          })
          .pipe(
            Effect.result,
            Effect.map((sent) => outcomeOf(sent, keys.secrets, Date.now()))
          )
      }

      const attempt = Effect.fn("Sender.attempt")(function* (delivery: Outgoing, target: Target) {
        const n = delivery.attempts + 1
        const at = new Date()
        const began = performance.now()
        const { ending, final, retryAfterMs, ...outcome } = yield* send(delivery, target, n)
        const durationMs = Math.round(performance.now() - began)
        metrics.attempted(ending, durationMs)
        const delayMs =
          final || outcome.error === null
            ? undefined
            : delayAfter(
                delivery.eventType === TEST_TYPE ? withoutRetries : retries,
                n - delivery.retriesFrom,
                Math.random(),
                retryAfterMs
              )
        const status =
          outcome.error === null
            ? ("delivered" as const)
            : delayMs === undefined
              ? ("failed" as const)
              : ("pending" as const)
        return { ...outcome, delivery, n, at, durationMs, status, delayMs: delayMs ?? null }
      })

      return { attempt }
    })
  )
}
