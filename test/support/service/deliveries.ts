import { randomUUID } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../db/eventually.ts"
import { accept, type Behaviour, receiver } from "../webhooks/WebhookReceiver.ts"
import { read } from "./client.ts"
import { ingest } from "./events.ts"
import { ask, subscribe, webhookPath } from "./webhooks.ts"

/** A delivery as lists show it. */
export interface DeliveryRow {
  readonly id: string
  readonly eventId: string
  readonly seq: number | null
  readonly eventType: string
  readonly status: string
  readonly attempts: number
  readonly statusCode: number | null
  readonly error: string | null
  readonly nextRetryAt: string | null
  readonly deliveredAt: string | null
  readonly createdAt: string
}

export interface DeliveryDetails extends DeliveryRow {
  readonly body: string
  readonly attemptLog: ReadonlyArray<{
    readonly at: string
    readonly durationMs: number
    readonly statusCode: number | null
    readonly error: string | null
    readonly response: string | null
  }>
}

export interface BreakerRow {
  readonly state: string
  readonly failures: number
  readonly consecutiveSuccesses: number
  readonly openedAt: number | null
  readonly nextProbeAt: number | null
}

/** A subscription to the events of a run of its own, with a receiver that behaves so. */
export const subscribed = Effect.fnUntraced(function* (
  behaviour: Behaviour = accept,
  body: Readonly<Record<string, unknown>> = {}
) {
  const target = yield* receiver(behaviour)
  const runId = randomUUID()
  const webhook = yield* subscribe({ url: target.url, filter: { runId }, ...body })
  return { ...target, ...webhook, runId }
})

/** Reports so many events of a run; their ids. */
export const happen = Effect.fnUntraced(function* (runId: string, count = 1, type = "agent.expired") {
  const events = Array.from({ length: count }, () => ({ id: randomUUID(), type, runId, payload: { runId } }))
  for (let sent = 0; sent < count; sent += 100) yield* ingest(events.slice(sent, sent + 100))
  return events.map(({ id }) => id)
})

export const deliveriesOf = (webhook: string, query = "limit=1000") =>
  Effect.map(
    read<{ readonly deliveries: ReadonlyArray<DeliveryRow> }>(webhookPath(webhook, `/deliveries?${query}`)),
    ({ deliveries }) => deliveries
  )

/** The only delivery of a subscription, once it is as wanted. */
export const deliveryOf = (webhook: string, wanted: (row: DeliveryRow) => boolean, withinMs?: number) =>
  Effect.map(
    eventually(deliveriesOf(webhook), (rows) => rows.length === 1 && rows.every(wanted), withinMs),
    ([row]) => {
      assert(row !== undefined)
      return row
    }
  )

export const detailsOf = (webhook: string, id: string) =>
  read<DeliveryDetails>(webhookPath(webhook, `/deliveries/${id}`))

export const breakerOf = (webhook: string) => read<BreakerRow>(webhookPath(webhook, "/circuit-breaker"))

/** A POST about a subscription that must succeed with this status. */
export const act = <T>(webhook: string, suffix: string, status: number, body?: unknown) =>
  Effect.map(ask("POST", webhookPath(webhook, suffix), body), (answer) => {
    assert.strictEqual(answer.status, status, answer.text)
    return answer.json<T>()
  })
