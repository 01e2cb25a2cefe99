import { Context, Effect, Layer } from "effect"
import { textArray } from "../db/arrays.ts"
import { BackgroundDb } from "../db/Db.ts"
import type { Sql } from "../db/sql.ts"
import type { AttemptResult, Claimed, EndpointState } from "./model.ts"

/** What a process asks for. */
export interface ClaimRequest {
  /** UUID of the process, new at each start. */
  readonly process: string
  readonly leaseMs: number
  /** Rows in all. */
  readonly limit: number
  /** Rows of each subscription that is not in `rooms`. */
  readonly slots: number
  /** Rows by subscription, of those the process works on already. */
  readonly rooms: ReadonlyMap<string, number>
  /** Whether of each subscription the newest row comes first, else the oldest. */
  readonly newest: boolean
}

/** When a breaker opens, and for how long. */
export interface BreakerRules {
  /** Consecutive failures that open it. */
  readonly threshold: number
  readonly resetMs: number
  /** Attempts at once that an endpoint in good health is given. */
  readonly slots: number
}

const seconds = (ms: number) => String(ms / 1000)

/** Results as a `webhook_result_v1[]` SQL expression, in order. */
export const webhookResults = (sql: Sql, results: ReadonlyArray<AttemptResult>) => {
  const text = (pick: (each: AttemptResult) => string | number | null) =>
    textArray(
      results.map((each) => {
        const value = pick(each)
        return value === null ? null : String(value)
      })
    )
  return sql`(
    select array_agg(row(
      delivery, webhook, n::int, at, duration::int, status_code::int, error, response, status,
      make_interval(secs => delay::float8), verdict)::webhook_result_v1 order by place)
    from unnest(
      ${text(({ delivery }) => delivery.id)}::uuid[],
      ${text(({ delivery }) => delivery.webhookId)}::uuid[],
      ${text(({ n }) => n)}::text[],
      ${text(({ at }) => at.toISOString())}::timestamptz[],
      ${text(({ durationMs }) => durationMs)}::text[],
      ${text(({ statusCode }) => statusCode)}::text[],
      ${text(({ error }) => error)}::text[],
      ${text(({ response }) => response)}::text[],
      ${text(({ status }) => status)}::text[],
      ${text(({ delayMs }) => (delayMs === null ? null : seconds(delayMs)))}::text[],
      ${text(({ verdict }) => verdict)}::text[]
    ) with ordinality as t (
      delivery, webhook, n, at, duration, status_code, error, response, status, delay, verdict, place))`
}

/**
 * Store of who works on which deliveries. Everything here is the background's: however busy requests are, deliveries
 * go on.
 */
export class Claims extends Context.Service<
  Claims,
  {
    /** Rows that are due, for as long as the lease lasts; see `claim_deliveries_v1`. */
    readonly claim: (request: ClaimRequest) => Effect.Effect<ReadonlyArray<Claimed>>
    /** Prolongs claims; the ids of those that the process still held. */
    readonly renew: (
      process: string,
      ids: ReadonlyArray<string>,
      leaseMs: number
    ) => Effect.Effect<ReadonlySet<string>>
    /** Gives claims back unattempted; all of the process without `ids`. */
    readonly release: (process: string, ids?: ReadonlyArray<string>) => Effect.Effect<void>
    /**
     * Writes what became of attempts whose claims the process still holds. When its answer was lost it may be repeated:
     * what was written is then missing in the answer.
     */
    readonly settle: (
      process: string,
      results: ReadonlyArray<AttemptResult>,
      rules: BreakerRules
    ) => Effect.Effect<ReadonlyArray<EndpointState>>
    /** Frees rows whose claim has run out, and gives up those of subscriptions that are gone or inactive. */
    readonly tidy: (limit: number) => Effect.Effect<{ readonly freed: number; readonly givenUp: number }>
  }
>()("cp/deliveries/Claims") {
  static readonly layer = Layer.effect(
    Claims,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const interval = (ms: number) => sql`make_interval(secs => ${seconds(ms)}::text::float8)`

      const claim = Effect.fn("Claims.claim")(function* (request: ClaimRequest) {
        const { leaseMs, limit, newest, process, rooms, slots } = request
        return yield* sql<Claimed>`
          select id, webhook_id, event_id, event_type, body, attempts, retries_from, version, slots
          from claim_deliveries_v1(
            ${process}::uuid, ${interval(leaseMs)}, ${limit}::int, ${slots}::int, ${newest}::boolean,
            ${textArray([...rooms.keys()])}::uuid[], ${textArray([...rooms.values()].map(String))}::int[])`
      }, Effect.orDie)

      const renew = Effect.fn("Claims.renew")(function* (
        process: string,
        ids: ReadonlyArray<string>,
        leaseMs: number
      ) {
        const rows = yield* sql<{ readonly id: string }>`
          select id from renew_claims_v1(
            ${process}::uuid, ${textArray(ids)}::uuid[], ${interval(leaseMs)}) as id`
        return new Set(rows.map(({ id }) => id))
      }, Effect.orDie)

      const release = Effect.fn("Claims.release")(function* (process: string, ids?: ReadonlyArray<string>) {
        yield* sql`
          select release_claims_v1(${process}::uuid, ${ids === undefined ? null : textArray(ids)}::uuid[])::text`
      }, Effect.orDie)

      const settle = Effect.fn("Claims.settle")(function* (
        process: string,
        results: ReadonlyArray<AttemptResult>,
        { resetMs, slots, threshold }: BreakerRules
      ) {
        return yield* sql<EndpointState>`
          select webhook_id, settled::text[] as settled, was, state, slots from settle_deliveries_v1(
            ${process}::uuid, ${webhookResults(sql, results)}, ${threshold}::int, ${interval(resetMs)}, ${slots}::int)`
      }, Effect.orDie)

      const tidy = Effect.fn("Claims.tidy")(function* (limit: number) {
        const [row] = yield* sql<{ readonly freed: number; readonly givenUp: number }>`
          select freed, given_up from tidy_deliveries_v1(${limit}::int)`
        return row ?? { freed: 0, givenUp: 0 }
      }, Effect.orDie)

      return { claim, renew, release, settle, tidy }
    })
  )
}
