import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { type Visibility, visibilityKey } from "../access/Visibility.ts"
import { Api } from "../api.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { Agents } from "../registry/Agents.ts"
import type { AgentQuery } from "../registry/discovery.ts"
import { sessionRecord } from "../sessions/record.ts"
import { Sessions } from "../sessions/Sessions.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import { dashboardAgentsQuery, overviewQuery } from "./api.ts"
import { Dashboard } from "./Dashboard.ts"

const RECENT_SESSIONS = 20

const agentCursors = cursors(Schema.Struct({ registeredAt: Instant, aid: Schema.String }))

const allAgents: Omit<AgentQuery, "limit" | "after"> = {
  capability: undefined,
  aid: undefined,
  displayName: undefined,
  namespace: undefined,
  status: "all",
  includeManifest: false,
  offset: 0
}

export const DashboardHttp = HttpApiBuilder.group(
  Api,
  "dashboard",
  Effect.fn(function* (handlers) {
    const dashboard = yield* Dashboard
    const agents = yield* Agents
    const sessions = yield* Sessions

    /** The newest sessions that were first heard of since then. */
    const recentSessions = Effect.fnUntraced(function* (since: Date, visibility: Visibility) {
      const newest = yield* sessions.list(
        {
          status: undefined,
          runId: undefined,
          aid: undefined,
          limit: RECENT_SESSIONS,
          offset: 0,
          after: undefined
        },
        visibility
      )
      return newest
        .slice(0, RECENT_SESSIONS)
        .filter(({ createdAt }) => createdAt >= since)
        .map((session) => {
          const { aidA, aidB, boundary, completedAt, grants, sessionId, startedAt, status } =
            sessionRecord(session)
          return { sessionId, aidA, aidB, status, grants, boundary, startedAt, completedAt }
        })
    })

    return handlers
      .handleRaw(
        "overview",
        Effect.fnUntraced(function* () {
          const { principal } = yield* CurrentRequest
          const { range } = yield* Query.read(overviewQuery)
          const { handshakesByBoundary, handshakesOverTime, since, topCapabilities, ...kpis } =
            yield* dashboard.overview(range, principal.visibility)
          return HttpServerResponse.jsonUnsafe({
            range,
            kpis,
            recentSessions: yield* recentSessions(since, principal.visibility),
            charts: { handshakesByBoundary, handshakesOverTime, topCapabilities }
          })
        })
      )
      .handleRaw(
        "agents",
        Effect.fnUntraced(function* ({ request }) {
          const { principal, route } = yield* CurrentRequest
          const { cursor, limit } = yield* Query.read(dashboardAgentsQuery)
          const list = {
            route: route.template,
            filters: {},
            order: "registeredAt,aid",
            visibility: visibilityKey(principal.visibility)
          }
          const after = yield* Effect.fromResult(agentCursors.read(list, cursor))
          const found = yield* agents.list({ ...allAgents, limit, after }, principal.visibility)
          const { nextCursor, rows } = pageOf(found, limit, ({ aid, registeredAt }) =>
            agentCursors.after(list, { registeredAt, aid })
          )
          const activity = yield* dashboard.activity(
            rows.map(({ aid }) => aid),
            principal.visibility
          )
          return HttpServerResponse.jsonUnsafe(
            {
              agents: rows.map(({ aid, displayName, lastSeenAt, registeredAt, status }, index) => ({
                aid,
                displayName,
                status,
                registeredAt: registeredAt.toISOString(),
                lastSeenAt: lastSeenAt?.toISOString() ?? null,
                handshakesAsInitiator: activity[index]?.handshakesAsInitiator ?? 0,
                handshakesAsResponder: activity[index]?.handshakesAsResponder ?? 0,
                capabilityInvocations: activity[index]?.capabilityInvocations ?? 0
              })),
              count: rows.length,
              nextCursor
            },
            { headers: Reply.pageHeaders(request, nextCursor) }
          )
        })
      )
  })
)
