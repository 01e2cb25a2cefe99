import { Context, Effect, Layer, Semaphore } from "effect"
import type { SqlError } from "effect/sql"
import { AuditBus } from "./AuditBus.ts"
import type { Page } from "./EventStream.ts"
import { frameOf } from "./frame.ts"
import { LedgerPages } from "./LedgerPages.ts"
import type { Selection } from "./selection.ts"

/** Events read at once for one stream. */
const PAGE = 200
/** Positions looked through at once: bounds the time of a statement whose filter finds little. */
const WINDOW = 10_000
/** Streams that read the database at the same time: after a restart all of them want to. */
const MAX_READERS = 4

/** Reads for streams what is not in memory. */
export class LedgerReader extends Context.Service<
  LedgerReader,
  {
    /** The next selected events after a position; not beyond what all streams have been told. */
    readonly read: (selection: Selection, after: number) => Effect.Effect<Page, SqlError.SqlError>
  }
>()("cp/stream/LedgerReader") {
  static readonly layer = Layer.effect(
    LedgerReader,
    Effect.gen(function* () {
      const { tail } = yield* AuditBus
      const pages = yield* LedgerPages
      const permits = yield* Semaphore.make(MAX_READERS)
      const read = Effect.fn("LedgerReader.read")(function* (selection: Selection, after: number) {
        const { epoch, head } = tail.extent
        const upTo = Math.min(head, after + WINDOW)
        const rows = yield* pages.select(selection, { after, upTo, limit: PAGE })
        const last = rows.at(-1)
        return {
          frames: rows.map((row) => frameOf(epoch, row)),
          upTo: rows.length < PAGE || last === undefined ? upTo : last.seq
        }
      })
      return { read: (selection, after) => permits.withPermits(1)(read(selection, after)) }
    })
  )
}
