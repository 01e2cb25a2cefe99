import { Clock, Context, Effect, Layer, Stream } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import { AuditEvents } from "../events/AuditEvents.ts"
import { type HistoryQuery, unfiltered } from "../events/history.ts"
import type { StoredEvent } from "../events/model.ts"
import { renderEvent } from "../events/render.ts"
import type { Session, SessionQuery } from "../sessions/model.ts"
import { sessionRecord } from "../sessions/record.ts"
import { Sessions } from "../sessions/Sessions.ts"
import { type ExportedTct, exportStatement, type TctPosition } from "../tcts/export.ts"
import { tctExport } from "../tcts/record.ts"
import { DocumentRoom, type Listing, linesOf, pagesOf } from "../wire/export.ts"
import type { AgentDetails } from "./model.ts"
import { agentExport } from "./record.ts"

/** Sessions and TCTs in one document, each. */
const MAX_ROWS = 10_000

const renderSession = (session: Session) => JSON.stringify(sessionRecord(session))
const renderTct = (tct: ExportedTct) => JSON.stringify(tctExport(tct))

/** Read model: everything kept about one agent. */
export class AgentExport extends Context.Service<
  AgentExport,
  {
    /** One JSON document: the agent, its sessions and TCTs, and its newest events. */
    readonly document: (
      agent: AgentDetails,
      eventLimit: number,
      visibility: Visibility
    ) => Effect.Effect<string>
    /** The same as lines of `{kind, record}`, with all sessions and TCTs; rows are read as the reader keeps up. */
    readonly lines: (agent: AgentDetails, eventLimit: number, visibility: Visibility) => Stream.Stream<string>
  }
>()("cp/registry/AgentExport") {
  static readonly layer = Layer.effect(
    AgentExport,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { history } = yield* AuditEvents
      const sessions = yield* Sessions

      const sessionsOf = (
        aid: string,
        visibility: Visibility
      ): Listing<Session, NonNullable<SessionQuery["after"]>> => ({
        read: (limit, after) =>
          sessions.list({ status: undefined, runId: undefined, aid, limit, offset: 0, after }, visibility),
        positionOf: ({ createdAt, sessionId }) => ({ createdAt, sessionId })
      })

      const tctsOf = (aid: string, visibility: Visibility): Listing<ExportedTct, TctPosition> => ({
        read: (limit, after) => Effect.orDie(exportStatement(sql, { aid }, { limit, after }, visibility)),
        positionOf: ({ issuedAt, issuerKey, jti }) => ({ issuedAt, jti, issuerKey })
      })

      const eventsOf = (
        aid: string,
        visibility: Visibility
      ): Listing<StoredEvent, NonNullable<HistoryQuery["after"]>> => ({
        read: (limit, after) =>
          history({ ...unfiltered, aid, order: "desc", limit, offset: 0, after }, visibility),
        positionOf: ({ seq, ts }) => ({ ts, seq })
      })

      const document = Effect.fn("AgentExport.document")(function* (
        agent: AgentDetails,
        eventLimit: number,
        visibility: Visibility
      ) {
        const { aid } = agent
        const room = new DocumentRoom()
        const sessions = yield* room.take(sessionsOf(aid, visibility), MAX_ROWS, renderSession)
        const tcts = yield* room.take(tctsOf(aid, visibility), MAX_ROWS, renderTct)
        const events = yield* room.take(eventsOf(aid, visibility), eventLimit, renderEvent)
        // Events beyond the limit that was asked for are not missing.
        const truncated = sessions.more || tcts.more || (events.more && events.count < eventLimit)
        return (
          `{"agent":${JSON.stringify(agentExport(agent))},"sessions":${sessions.json},"tcts":${tcts.json},` +
          `"events":${events.json},"exportedAt":"${new Date(yield* Clock.currentTimeMillis).toISOString()}"` +
          `${truncated ? ',"truncated":true' : ""}}`
        )
      })

      const lines = (agent: AgentDetails, eventLimit: number, visibility: Visibility) =>
        Stream.make(`{"kind":"agent","record":${JSON.stringify(agentExport(agent))}}\n`).pipe(
          Stream.concat(linesOf("session", pagesOf(sessionsOf(agent.aid, visibility)), renderSession)),
          Stream.concat(linesOf("tct", pagesOf(tctsOf(agent.aid, visibility)), renderTct)),
          Stream.concat(
            linesOf("event", pagesOf({ ...eventsOf(agent.aid, visibility), limit: eventLimit }), renderEvent)
          )
        )

      return { document, lines }
    })
  )
}
