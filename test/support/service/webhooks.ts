import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, send } from "./client.ts"

/** A subscription as answers show it; `secret` only where it is shown. */
export interface WebhookRow {
  readonly id: string
  readonly url: string
  readonly events: ReadonlyArray<string>
  readonly filter: Readonly<Record<string, string>>
  readonly active: boolean
  readonly secretHint: string
  readonly disabledAt: string | null
  readonly disabledReason: string | null
  readonly breaker: string
  readonly createdAt: string
  readonly updatedAt: string
}

export interface WebhookPage {
  readonly webhooks: ReadonlyArray<WebhookRow>
  readonly count: number
  readonly nextCursor: string | null
}

export const WEBHOOKS = "/api/webhooks"

/** Public, and inert: a range kept for documentation. */
export const RECEIVER = "https://203.0.113.10/hook"

export const webhookPath = (id: string, suffix = "") => `${WEBHOOKS}/${id}${suffix}`

/** Sends a request about subscriptions with the key. */
export const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  send(path, { key: true, method, headers, ...(body === undefined ? {} : { body }) })

/** A new subscription; must succeed. */
export const subscribe = (body: Readonly<Record<string, unknown>> = {}) =>
  Effect.map(ask("POST", WEBHOOKS, { url: RECEIVER, ...body }), (answer: Answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json<WebhookRow & { readonly secret: string }>()
  })
