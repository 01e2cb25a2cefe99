import { Context, Effect, Layer, Option } from "effect"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import type { Breaker } from "./model.ts"

const CLOSED: Breaker = {
  state: "closed",
  failures: 0,
  consecutiveSuccesses: 0,
  openedAt: null,
  nextProbeAt: null
}

/** An endpoint that has only failed, and where it is. */
export interface FailingEndpoint {
  readonly id: string
  readonly url: string
}

/** Store of circuit breakers; settling results moves them. */
export class Breakers extends Context.Service<
  Breakers,
  {
    /** Of a subscription that exists; closed while nothing was sent to it. */
    readonly find: (webhookId: string) => Effect.Effect<Breaker>
    /** Closes one by hand, on all replicas; none when the subscription is gone. */
    readonly reset: (webhookId: string, act: AdminAct) => Effect.Effect<Option.Option<Breaker>>
    /** Active subscriptions between whose first and newest failure lie so many hours without a success. */
    readonly listFailing: (hours: number, limit: number) => Effect.Effect<ReadonlyArray<FailingEndpoint>>
  }
>()("cp/deliveries/Breakers") {
  static readonly layer = Layer.effect(
    Breakers,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const columns = sql`state, failures, consecutive_successes, opened_at, next_probe_at`

      const find = Effect.fn("Breakers.find")(function* (webhookId: string) {
        const [breaker] = yield* sql<Breaker>`
          select ${columns} from webhook_breakers where webhook_id = ${webhookId}::uuid`
        return breaker ?? CLOSED
      }, Effect.orDie)

      const reset = Effect.fn("Breakers.reset")(function* (webhookId: string, act: AdminAct) {
        const [breaker] = yield* sql<Breaker>`
          select ${columns} from reset_breaker_v1(${webhookId}::uuid, ${adminAct(sql, act)})`
        return Option.fromNullishOr(breaker)
      }, Effect.orDie)

      const listFailing = Effect.fn("Breakers.listFailing")(function* (hours: number, limit: number) {
        return yield* sql<FailingEndpoint>`
          select w.id, w.url
          from webhook_breakers b join webhooks w on w.id = b.webhook_id and w.active
          where b.failing_since is not null
            and b.last_failed_at - b.failing_since >= make_interval(hours => ${hours}::int)
          order by b.failing_since limit ${limit}::int`
      }, Effect.orDie)

      return { find, reset, listFailing }
    })
  )
}
