import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import { idempotencyCompletions } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import { contributionArrays, hasContributions } from "./contribution-arrays.ts"
import { Stale } from "./EventOwners.ts"
import { historyStatement, type HistoryQuery, storedColumns } from "./history.ts"
import type { Outcome, Recorded, StoredEvent } from "./model.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "./seal.ts"

/** Answer of a call some of whose requests no longer held their idempotency keys; nothing was stored. */
export class Lost {
  readonly _tag = "Lost"
  /** Places of these requests, from 0. */
  readonly requests: ReadonlySet<number>
  constructor(requests: ReadonlySet<number>) {
    this.requests = requests
  }
}

/** The requests that the events of an append come from, in the order of the events. */
export interface Requests {
  /** Number of events of each. */
  readonly sizes: ReadonlyArray<number>
  /** How each is completed; undefined without an idempotency key. */
  readonly completions: ReadonlyArray<Completion | undefined>
}

const outcomeOf: Readonly<Record<string, Outcome>> = {
  n: "stored",
  d: "duplicate",
  c: "conflict",
  u: "unverifiable"
}

interface Appended {
  readonly status: "ok" | "stale" | "lost"
  readonly epoch: string
  readonly head: bigint
  readonly seqs: ReadonlyArray<bigint>
  /** One letter an event, see `append_v1`. */
  readonly outcomes: string
  /** Places of requests, from 1. */
  readonly lost: ReadonlyArray<number> | null
}

/** Store of the ledger's events. */
export class AuditEvents extends Context.Service<
  AuditEvents,
  {
    /**
     * Appends sealed events in order and projects what they say, in one round trip that commits by itself. Events
     * already known are not stored again, so it may be repeated when its answer was lost.
     */
    readonly append: (
      sealed: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      /** Completes the idempotency keys of these requests in the same transaction. */
      requests?: Requests
    ) => Effect.Effect<Recorded | Stale | Lost>
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

      const call = (sealed: ReadonlyArray<SealedEvent>, directoryVersion: number, requests?: Requests) => {
        const events = sql`${LOG_ID}::smallint, ${directoryVersion}::bigint, ${ledgerEvents(sql, sealed)}`
        if (requests?.completions.some((each) => each !== undefined) === true) {
          const places = requests.sizes.flatMap((size, index) => Array<number>(size).fill(index + 1))
          return sql<Appended>`
            select status, epoch, head, seqs, outcomes, lost from ingest_v1(
              ${events}, ${contributionArrays(sql, sealed)}, ${places}::int[],
              ${idempotencyCompletions(sql, requests.completions)})`.withoutTransform
        }
        const append = hasContributions(sealed)
          ? sql`append_v2(${events}, ${contributionArrays(sql, sealed)})`
          : sql`append_v1(${events})`
        return sql<Appended>`select status, epoch, head, seqs, outcomes, null::int[] as lost from ${append}`
          .withoutTransform
      }

      const append = Effect.fn("AuditEvents.append")(function* (
        sealed: ReadonlyArray<SealedEvent>,
        directoryVersion: number,
        requests?: Requests
      ) {
        const [row] = yield* call(sealed, directoryVersion, requests)
        if (row === undefined) return yield* Effect.die(new Error("the append gave no row"))
        if (row.status === "stale") return new Stale()
        if (row.status === "lost") return new Lost(new Set((row.lost ?? []).map((place) => place - 1)))
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
