import { Clock, Context, Effect, Layer, Stream } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import { AuditEvents } from "../events/AuditEvents.ts"
import { type HistoryQuery, unfiltered } from "../events/history.ts"
import type { StoredEvent } from "../events/model.ts"
import { renderEvent } from "../events/render.ts"
import { type ExportedTct, exportStatement, type TctPosition } from "../tcts/export.ts"
import { tctExport } from "../tcts/record.ts"
import { DocumentRoom, type Listing, linesOf, pagesOf, type Taken } from "../wire/export.ts"
import type { Session } from "./model.ts"
import { sessionRecord } from "./record.ts"

/** TCTs in one document. */
const MAX_TCTS = 10_000

const renderTct = (tct: ExportedTct) => JSON.stringify(tctExport(tct))

/** Which part of a session's events. */
export interface EventRange {
  /** First and last `ts`, both inclusive. */
  readonly since?: Date | undefined
  readonly until?: Date | undefined
  readonly after?: HistoryQuery["after"]
}

/** Read model: everything that was reported about one session. */
export class SessionExport extends Context.Service<
  SessionExport,
  {
    /** Events of a session by their own time, at most `limit` and no more than one answer can hold. */
    readonly events: (
      sessionId: string,
      range: EventRange,
      limit: number,
      visibility: Visibility
    ) => Effect.Effect<Taken<StoredEvent>>
    /** One JSON document: the session, its TCTs and its first events. */
    readonly document: (session: Session, eventLimit: number, visibility: Visibility) => Effect.Effect<string>
    /** The same as lines of `{kind, record}`; rows are read as the reader keeps up. */
    readonly lines: (session: Session, eventLimit: number, visibility: Visibility) => Stream.Stream<string>
  }
>()("cp/sessions/SessionExport") {
  static readonly layer = Layer.effect(
    SessionExport,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { history } = yield* AuditEvents

      const eventsOf = (
        sessionId: string,
        { after: first, ...range }: EventRange,
        visibility: Visibility
      ): Listing<StoredEvent, NonNullable<HistoryQuery["after"]>> => ({
        read: (limit, after) =>
          history({ ...unfiltered, ...range, sessionId, order: "asc", limit, offset: 0, after }, visibility),
        positionOf: ({ seq, ts }) => ({ ts, seq }),
        after: first
      })

      const tctsOf = (sessionId: string, visibility: Visibility): Listing<ExportedTct, TctPosition> => ({
        read: (limit, after) =>
          Effect.orDie(exportStatement(sql, { sessionId }, { limit, after }, visibility)),
        positionOf: ({ issuedAt, issuerKey, jti }) => ({ issuedAt, jti, issuerKey })
      })

      const events = Effect.fn("SessionExport.events")(
        (sessionId: string, range: EventRange, limit: number, visibility: Visibility) =>
          new DocumentRoom().take(eventsOf(sessionId, range, visibility), limit, renderEvent)
      )

      const document = Effect.fn("SessionExport.document")(function* (
        session: Session,
        eventLimit: number,
        visibility: Visibility
      ) {
        const { sessionId } = session
        const room = new DocumentRoom()
        const tcts = yield* room.take(tctsOf(sessionId, visibility), MAX_TCTS, renderTct)
        const events = yield* room.take(eventsOf(sessionId, {}, visibility), eventLimit, renderEvent)
        const exportedAt = new Date(yield* Clock.currentTimeMillis).toISOString()
        return (
          `{"session":${JSON.stringify(sessionRecord(session))},"tcts":${tcts.json},"events":${events.json},` +
          `"exportedAt":"${exportedAt}"${tcts.more || events.more ? ',"truncated":true' : ""}}`
        )
      })

      const lines = (session: Session, eventLimit: number, visibility: Visibility) =>
        Stream.make(`{"kind":"session","record":${JSON.stringify(sessionRecord(session))}}\n`).pipe(
          Stream.concat(linesOf("tct", pagesOf(tctsOf(session.sessionId, visibility)), renderTct)),
          Stream.concat(
            linesOf(
              "event",
              pagesOf({ ...eventsOf(session.sessionId, {}, visibility), limit: eventLimit }),
              renderEvent
            )
          )
        )

      return { events, document, lines }
    })
  )
}
