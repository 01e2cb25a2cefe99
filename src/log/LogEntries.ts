import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { TILE_WIDTH } from "../client/log-tiles.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"

/** An event's row with all that its leaf covers, as it is stored, whether that is true or not. */
export interface LoggedRow {
  readonly seq: number
  readonly id: string
  readonly logId: number
  readonly type: string
  readonly canonicalType: string
  readonly ts: Date
  readonly receivedAt: Date
  /** Whether both times are whole milliseconds, as they are stored. */
  readonly isWhole: boolean
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  readonly namespace: string | null
  /** JSON text. */
  readonly grants: string | null
  readonly capability: string | null
  /** Null once erased. */
  readonly payload: string | null
  readonly source: string
  readonly reportedBy: string
  readonly orgIds: ReadonlyArray<string>
  readonly agentId: string | null
  readonly outcome: string | null
  readonly artifacts: string | null
  readonly salt: Uint8Array
  readonly payloadHash: Uint8Array
  readonly artifactsHash: Uint8Array | null
  readonly leafHash: Uint8Array
}

/** A row with the tile that its leaf is in, so that a proof takes one look at the database. */
export interface FoundRow extends LoggedRow {
  /** Hashes of the lowest level there are around its leaf; null while its tile has none. */
  readonly tile: Uint8Array | null
}

/** Positions `after` < seq ≤ `upTo`; at most `limit` rows. */
export interface Span {
  readonly after: number
  readonly upTo: number
  readonly limit: number
}

/** Store of the log's entries, that is, of the ledger's rows as their leaves see them. */
export class LogEntries extends Context.Service<
  LogEntries,
  {
    /** The rows of a span that there are, in order, also those beyond the ledger's head. */
    readonly span: (span: Span) => Effect.Effect<ReadonlyArray<LoggedRow>>
    readonly findById: (id: string, visibility: Visibility) => Effect.Effect<Option.Option<FoundRow>>
    /** Id of the event that was given a position, from the ledger's duplicate check. */
    readonly idAt: (seq: number) => Effect.Effect<Option.Option<string>>
  }
>()("cp/log/LogEntries") {
  static readonly layer = Layer.effect(
    LogEntries,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const columns = sql`
        e.seq::float8 as seq, e.id, e.log_id::int as log_id, e.type, e.canonical_type, e.ts, e.received_at,
        (e.ts = date_trunc('milliseconds', e.ts) and e.received_at = date_trunc('milliseconds', e.received_at)) as is_whole,
        e.aid_a, e.aid_b, e.session_id, e.run_id, e.namespace, e.grants::text as grants, e.capability, e.payload, e.source,
        e.reported_by, e.org_ids::text[] as org_ids, e.agent_id, e.outcome, e.artifacts, e.salt, e.payload_hash,
        e.artifacts_hash, e.leaf_hash`

      const span = Effect.fn("LogEntries.span")(function* ({ after, limit, upTo }: Span) {
        return yield* sql<LoggedRow>`
          select ${columns}
          from ledger_span_v1(${LOG_ID}::smallint, ${after}::bigint, ${upTo}::bigint, ${limit}::int) e
          order by e.seq`
      }, Effect.orDie)

      const findById = Effect.fn("LogEntries.findById")(function* (id: string, visibility: Visibility) {
        const [row] = yield* sql<FoundRow>`
          select ${columns},
            (select t.hashes from log_tiles t
             where t.log_id = e.log_id and t.level = 0 and t.index = (e.seq - 1) / ${TILE_WIDTH}::bigint) as tile
          from event_ids i join audit_events e on e.log_id = i.log_id and e.seq = i.seq
          where i.id = ${id}::uuid and i.log_id = ${LOG_ID}
            ${visibility._tag === "all" ? sql`` : sql`and e.org_ids && ${visibility.orgIds}::uuid[]`}
          limit 1`
        return Option.fromUndefinedOr(row)
      }, Effect.orDie)

      const idAt = Effect.fn("LogEntries.idAt")(function* (seq: number) {
        const [row] = yield* sql<{ readonly id: string | null }>`
          select event_id_at_v1(${LOG_ID}::smallint, ${seq}::bigint) as id`
        return Option.fromNullishOr(row?.id)
      }, Effect.orDie)

      return { findById, idAt, span }
    })
  )
}
