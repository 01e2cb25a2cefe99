import { Context, Effect, Layer, Option, Schema } from "effect"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import { LOG_ID } from "../events/seal.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import { webhookResults } from "./Claims.ts"
import type { Attempt, AttemptResult, Delivery, DeliveryDetails } from "./model.ts"

/** A page of the deliveries of one subscription. */
export interface DeliveryQuery {
  readonly webhookId: string
  /** Any text; what is no status finds nothing. */
  readonly status: string | undefined
  readonly eventType: string | undefined
  readonly limit: number
  /** Continue behind this delivery. */
  readonly after: DeliveryPosition | undefined
}

/** Place of a delivery in its list. */
export interface DeliveryPosition {
  /** Microseconds since 1970, decimal. */
  readonly createdAt: string
  readonly id: string
}

/** What is to be sent again. */
export interface RecoveryWindow {
  /** First time of enqueuing, or of storing, inclusive. */
  readonly since: Date
  /** Exclusive; undefined: everything since. */
  readonly until: Date | undefined
  /** Also the events that were never enqueued. */
  readonly missed: boolean
}

export interface RecoveryQuery extends RecoveryWindow {
  readonly webhookId: string
  /** Most rows of either kind. */
  readonly limit: number
}

export type RequeueOutcome =
  | { readonly _tag: "Requeued"; readonly requeued: number; readonly next: Date | null }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "ReservationLost" }

interface RequeueRow {
  readonly outcome: "ok" | "lost" | "not_found"
  readonly requeued: number
  readonly next: Date | null
}

const isStatus = Schema.is(Schema.Literals(["pending", "delivered", "failed"]))

/** Seconds after the next probe within which a delivery that waits for it comes to its turn. */
const SPREAD_SECS = 30

/**
 * A delivery as it is shown, of the table alias `d` with its breaker, unless that is closed, as `b`. The breaker holds
 * back what is due for as long as it does, and without a write to a single row: that a delivery waits for it is said
 * here. Its turn comes after the probe, spread by its id.
 */
const shown = (sql: Sql) => {
  const waits = sql`d.status = 'pending' and d.claimed_by is null and d.next_retry_at <= b.next_probe_at`
  const spread = sql`(('x' || left(d.id::text, 8))::bit(32)::bigint % ${sql.literal(String(SPREAD_SECS * 1000))})`
  return sql`
    d.id, d.event_id, d.event_seq::float8 as seq, d.event_type, d.status, d.attempts, d.status_code,
    case when ${waits} then 'circuit breaker open' else d.error end as error,
    case when ${waits} then b.next_probe_at + ${spread} * interval '1 millisecond' else d.next_retry_at end as next_retry_at,
    d.delivered_at, d.created_at`
}

const withBreaker = (sql: Sql) =>
  sql`left join webhook_breakers b on b.webhook_id = d.webhook_id and b.state <> 'closed'`

const completionOf = (sql: Sql, completion: Completion | undefined) =>
  completion === undefined ? sql`null::idempotency_completion_v1` : idempotencyCompletion(sql, completion)

const outcomeOf = (row: RequeueRow | undefined): RequeueOutcome => {
  if (row === undefined || row.outcome === "not_found") return { _tag: "NotFound" }
  if (row.outcome === "lost") return { _tag: "ReservationLost" }
  return { _tag: "Requeued", requeued: row.requeued, next: row.next }
}

/** Store of what was and is to be delivered. Whether the caller may see a subscription is decided before. */
export class Deliveries extends Context.Service<
  Deliveries,
  {
    /** A page, newest first; holds one delivery more than `limit` when there are more. */
    readonly list: (
      query: DeliveryQuery
    ) => Effect.Effect<ReadonlyArray<Delivery & { readonly position: string }>>
    readonly findById: (webhookId: string, id: string) => Effect.Effect<Option.Option<DeliveryDetails>>
    /** Makes a delivery due again, in any state but while it is attempted; with all its retries. */
    readonly redeliver: (
      webhookId: string,
      id: string,
      act: AdminAct,
      completion: Completion | undefined
    ) => Effect.Effect<RequeueOutcome>
    /** Makes failed deliveries due again; see `recover_deliveries_v1`. */
    readonly recover: (
      query: RecoveryQuery,
      act: AdminAct,
      completion: Completion | undefined
    ) => Effect.Effect<RequeueOutcome>
    /** Keeps a test that was sent; false when the subscription is gone. */
    readonly recordTest: (result: AttemptResult, act: AdminAct) => Effect.Effect<boolean>
  }
>()("cp/deliveries/Deliveries") {
  static readonly layer = Layer.effect(
    Deliveries,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const list = Effect.fn("Deliveries.list")(function* (query: DeliveryQuery) {
        const { after, eventType, limit, status, webhookId } = query
        const conditions = [sql`d.webhook_id = ${webhookId}::uuid`]
        if (status !== undefined) {
          if (!isStatus(status)) return []
          // As text: indexes hold one status or two, and a plan for any would not use them.
          conditions.push(sql`d.status = ${sql.literal(`'${status}'`)}`)
        }
        if (eventType !== undefined) conditions.push(sql`d.event_type = ${eventType}`)
        if (after !== undefined)
          conditions.push(sql`(d.created_at, d.id) <
            (timestamptz 'epoch' + ${after.createdAt}::bigint * interval '1 microsecond', ${after.id}::uuid)`)
        return yield* sql<Delivery & { readonly position: string }>`
          select ${shown(sql)}, (extract(epoch from d.created_at) * 1000000)::bigint::text as position
          from webhook_deliveries d ${withBreaker(sql)}
          where ${sql.and(conditions)}
          order by d.created_at desc, d.id desc
          limit ${limit + 1}::int`
      }, Effect.orDie)

      const findById = Effect.fn("Deliveries.findById")(function* (webhookId: string, id: string) {
        const [delivery] = yield* sql<Delivery & { readonly body: string }>`
          select ${shown(sql)}, d.body
          from webhook_deliveries d ${withBreaker(sql)}
          where d.id = ${id}::uuid and d.webhook_id = ${webhookId}::uuid`
        if (delivery === undefined) return Option.none()
        const attemptLog = yield* sql<Attempt>`
          select at, duration_ms, status_code, error, response from webhook_attempts
          where delivery_id = ${id}::uuid order by n`
        return Option.some({ ...delivery, attemptLog })
      }, Effect.orDie)

      const redeliver = Effect.fn("Deliveries.redeliver")(function* (
        webhookId: string,
        id: string,
        act: AdminAct,
        completion: Completion | undefined
      ) {
        const [row] = yield* sql<RequeueRow>`
          select outcome, requeued, null::timestamptz as next from redeliver_v1(
            ${webhookId}::uuid, ${id}::uuid, ${adminAct(sql, act)}, ${completionOf(sql, completion)})`
        return outcomeOf(row)
      }, Effect.orDie)

      const recover = Effect.fn("Deliveries.recover")(function* (
        { limit, missed, since, until, webhookId }: RecoveryQuery,
        act: AdminAct,
        completion: Completion | undefined
      ) {
        const [row] = yield* sql<RequeueRow>`
          select outcome, requeued, continue_at as next from recover_deliveries_v1(
            ${LOG_ID}::smallint, ${webhookId}::uuid, ${since}::timestamptz,
            coalesce(${until ?? null}::timestamptz, 'infinity'), ${missed}::boolean,
            ${limit}::int, ${adminAct(sql, act)}, ${completionOf(sql, completion)})`
        return outcomeOf(row)
      }, Effect.orDie)

      const recordTest = Effect.fn("Deliveries.recordTest")(function* (result: AttemptResult, act: AdminAct) {
        const { body, eventId } = result.delivery
        const [row] = yield* sql<{ readonly kept: boolean }>`
          select record_test_v1(
            ${eventId}::uuid, ${body}, (${webhookResults(sql, [result])})[1], ${adminAct(sql, act)}) as kept`
        return row?.kept === true
      }, Effect.orDie)

      return { list, findById, redeliver, recover, recordTest }
    })
  )
}
