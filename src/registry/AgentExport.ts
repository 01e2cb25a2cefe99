import { Context, Effect, Layer, Option, Stream } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { AuditEvents } from "../events/AuditEvents.ts"
import { type HistoryQuery, unfiltered } from "../events/history.ts"
import type { StoredEvent } from "../events/model.ts"
import { renderEvent } from "../events/render.ts"
import type { AgentDetails } from "./model.ts"
import { agentExport } from "./record.ts"

/** Events read from the database at a time. */
const PAGE = 500

/** Read model: everything kept about one agent. */
export class AgentExport extends Context.Service<
  AgentExport,
  {
    /** One JSON document: the agent and its newest events. */
    readonly document: (
      agent: AgentDetails,
      eventLimit: number,
      visibility: Visibility
    ) => Effect.Effect<string>
    /** The same as lines of `{kind, record}`; events are read as the reader keeps up. */
    readonly lines: (agent: AgentDetails, eventLimit: number, visibility: Visibility) => Stream.Stream<string>
  }
>()("cp/registry/AgentExport") {
  static readonly layer = Layer.effect(
    AgentExport,
    Effect.gen(function* () {
      const { history } = yield* AuditEvents

      /** Newest first, page by page. */
      const eventsOf = (aid: string, limit: number, visibility: Visibility): Stream.Stream<StoredEvent> =>
        Stream.paginate({ left: limit, after: undefined as HistoryQuery["after"] }, ({ after, left }) =>
          Effect.map(
            history(
              { ...unfiltered, aid, order: "desc", limit: Math.min(left, PAGE), offset: 0, after },
              visibility
            ),
            (found) => {
              const page = found.slice(0, Math.min(left, PAGE))
              const last = page.at(-1)
              const rest = left - page.length
              const more = found.length > page.length && rest > 0 && last !== undefined
              return [
                page,
                more ? Option.some({ left: rest, after: { ts: last.ts, seq: last.seq } }) : Option.none()
              ] as const
            }
          )
        )
      return AgentExport.of({
        document: (agent, eventLimit, visibility) =>
          Effect.map(Stream.runCollect(eventsOf(agent.aid, eventLimit, visibility)), (events) =>
            [
              `{"agent":${JSON.stringify(agentExport(agent))}`,
              `"sessions":[],"tcts":[],"events":[${events.map(renderEvent).join(",")}]`,
              `"exportedAt":"${new Date().toISOString()}"}`
            ].join(",")
          ),
        lines: (agent, eventLimit, visibility) =>
          Stream.make(`{"kind":"agent","record":${JSON.stringify(agentExport(agent))}}\n`).pipe(
            Stream.concat(
              Stream.map(
                eventsOf(agent.aid, eventLimit, visibility),
                (event) => `{"kind":"event","record":${renderEvent(event)}}\n`
              )
            )
          )
      })
    })
  )
}
