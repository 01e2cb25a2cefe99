import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { Db } from "../../../src/db/Db.ts"
import type { AttemptResult, Claimed } from "../../../src/deliveries/model.ts"

/** A subscription written past the service; its secret cannot be read. */
export const subscribe = Effect.fnUntraced(function* (
  given: {
    readonly url?: string
    readonly events?: ReadonlyArray<string>
    readonly filter?: Readonly<Record<string, string>>
    readonly active?: boolean
  } = {}
) {
  const { sql } = yield* Db
  const id = randomUUID()
  yield* sql`
    insert into webhooks (id, url, events, filter, secret_enc, key_id, secret_hint, active, created_at, updated_at)
    values (${id}::uuid, ${given.url ?? "http://127.0.0.1:1/"}, ${sql.json(given.events ?? [])},
      ${sql.json(given.filter ?? {})}, ''::bytea, 'k', 'hint', ${given.active ?? true}, now(), now())`
  return id
})

/** Rows of the outbox that are due; the first has been for the longest time. Their ids in that order. */
export const enqueue = Effect.fnUntraced(function* (
  webhookId: string,
  count: number,
  given: { readonly dueSecsAgo?: number; readonly attempts?: number; readonly status?: string } = {}
) {
  const { sql } = yield* Db
  const { attempts = 0, dueSecsAgo = 60, status = "pending" } = given
  const rows = yield* sql<{ readonly id: string }>`
    insert into webhook_deliveries (
      id, webhook_id, event_id, event_seq, event_type, body, status, attempts, next_retry_at, created_at)
    select gen_random_uuid(), ${webhookId}::uuid, gen_random_uuid(), n, 'tct.revoked', '{}', ${status}, ${attempts}::int,
      case when ${status} = 'pending' then
        clock_timestamp() - make_interval(secs => ${dueSecsAgo}::float8) + n * interval '1 millisecond' end,
      clock_timestamp() + n * interval '1 millisecond'
    from generate_series(1, ${count}::int) as n
    returning id`
  return rows.map(({ id }) => id)
})

/** The result of an attempt that was answered with 200, unless said otherwise. */
export const resultOf = (delivery: Claimed, over: Partial<AttemptResult> = {}): AttemptResult => ({
  delivery,
  n: delivery.attempts + 1,
  at: new Date(),
  durationMs: 5,
  statusCode: 200,
  error: null,
  response: "ok",
  status: "delivered",
  delayMs: null,
  verdict: "up",
  gone: false,
  ...over
})

/** The result of an attempt that failed and will be repeated. */
export const failureOf = (delivery: Claimed, over: Partial<AttemptResult> = {}): AttemptResult =>
  resultOf(delivery, {
    statusCode: 500,
    error: "non-2xx (500): no",
    response: "no",
    status: "pending",
    delayMs: 30_000,
    verdict: "down",
    ...over
  })

/** A row of the outbox as it is stored. */
export interface StoredDelivery {
  readonly status: string
  readonly attempts: number
  readonly error: string | null
  readonly statusCode: number | null
  readonly claimed: boolean
  /** Seconds until the next attempt; null when there is none. */
  readonly dueInSecs: number | null
  readonly log: number
}

export const stored = Effect.fnUntraced(function* (id: string) {
  const { sql } = yield* Db
  const [row] = yield* sql<StoredDelivery>`
    select status, attempts, error, status_code, claimed_by is not null as claimed,
      extract(epoch from next_retry_at - clock_timestamp())::float8 as due_in_secs,
      (select count(*)::int from webhook_attempts a where a.delivery_id = d.id) as log
    from webhook_deliveries d where id = ${id}::uuid`
  if (row === undefined) return yield* Effect.die(new Error("no such delivery"))
  return row
})
