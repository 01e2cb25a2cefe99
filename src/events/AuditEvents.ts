import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import { historyStatement, type HistoryQuery, storedColumns } from "./history.ts"
import type { Outcome, Recorded, StoredEvent } from "./model.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "./seal.ts"

/** Answer of a call that found that the owners of its events had changed since they were looked up. */
export class Stale {
  readonly _tag = "Stale"
}

const outcomeOf: Readonly<Record<string, Outcome>> = {
  n: "stored",
  d: "duplicate",
  c: "conflict",
  u: "unverifiable"
}

interface Appended {
  readonly status: "ok" | "stale"
  readonly epoch: string
  readonly head: bigint
  readonly seqs: ReadonlyArray<bigint>
  /** One letter an event, see `append_v1`. */
  readonly outcomes: string
}

/** Store of the ledger's events. */
export class AuditEvents extends Context.Service<
  AuditEvents,
  {
    /**
     * Appends sealed events in order, in one round trip that commits by itself. Events already known are not stored
     * again, so it may be repeated when its answer was lost.
     */
    readonly append: (
      sealed: ReadonlyArray<SealedEvent>,
      directoryVersion: number
    ) => Effect.Effect<Recorded | Stale>
    /** A page of history, newest first unless asked otherwise; holds one event more than `limit` when there are more. */
    readonly history: (
      query: HistoryQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<StoredEvent>>
    readonly findById: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<StoredEvent>>
  }
>()("cp/events/AuditEvents") {
  static readonly layer = Layer.effect(
    AuditEvents,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const append = Effect.fn("AuditEvents.append")(function* (
        sealed: ReadonlyArray<SealedEvent>,
        directoryVersion: number
      ) {
        const [row] = yield* sql<Appended>`
          select status, epoch, head, seqs, outcomes
          from append_v1(${LOG_ID}::smallint, ${directoryVersion}::bigint, ${ledgerEvents(sql, sealed)})`
        if (row === undefined) return yield* Effect.die(new Error("append_v1 gave no row"))
        if (row.status === "stale") return new Stale()
        return {
          epoch: row.epoch,
          head: Number(row.head),
          seqs: row.seqs.map(Number),
          outcomes: Array.from(row.outcomes, (letter) => outcomeOf[letter] ?? "unverifiable")
        }
      }, Effect.orDie)

      const history = Effect.fn("AuditEvents.history")(function* (
        query: HistoryQuery,
        visibility: Visibility
      ) {
        return yield* historyStatement(sql, query, visibility)
      }, Effect.orDie)

      const findById = Effect.fn("AuditEvents.findById")(function* (id: string, visibility: Visibility) {
        const [event] = yield* sql<StoredEvent>`
          select ${storedColumns(sql)}
          from event_ids i join audit_events e on e.log_id = i.log_id and e.seq = i.seq
          where i.id = ${id}::uuid and i.log_id = ${LOG_ID}
            ${visibility._tag === "all" ? sql`` : sql`and e.org_ids && ${visibility.orgIds}::uuid[]`}
          limit 1`
        return Option.fromNullishOr(event)
      }, Effect.orDie)

      return { append, history, findById }
    })
  )
}
