import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { AgentRecord } from "../registry/record.ts"
import { SessionRecord } from "../sessions/record.ts"
import { BadRequest, CursorInvalid } from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { type Range, rangeOf, ranges } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

const { aidA, aidB, boundary, completedAt, grants, sessionId, startedAt, status } = SessionRecord.fields

const Overview = Schema.Struct({
  range: Schema.Literals(["1h", "24h", "7d", "30d"]),
  kpis: Schema.Struct({
    /** Agents with status `active`. */
    agentsRegistered: Schema.Int,
    /** All sessions, whatever the range. */
    handshakesTotal: Schema.Int,
    /** Sessions by `createdAt` in the range: all, the complete ones, and those neither complete nor failed. */
    handshakesInRange: Schema.Int,
    handshakesSuccessInRange: Schema.Int,
    /** `capability.invoked` events by `ts` in the range. */
    capabilityInvocationsInRange: Schema.Int,
    activeSessions: Schema.Int,
    /** Webhook deliveries that are still to be made. */
    pendingWebhookDeliveries: Schema.Int
  }),
  /** The newest 20 by `createdAt` in the range, newest first. */
  recentSessions: Schema.Array(
    Schema.Struct({ sessionId, aidA, aidB, status, grants, boundary, startedAt, completedAt })
  ),
  charts: Schema.Struct({
    /** Sessions by `createdAt` in the range, most frequent first; without a boundary: `unknown`. */
    handshakesByBoundary: Schema.Array(Schema.Struct({ boundary: Schema.String, count: Schema.Int })),
    /** `handshake.started` and `handshake.complete` events by `ts`; a minute, hour or day each, UTC; empty ones left out. */
    handshakesOverTime: Schema.Array(Schema.Struct({ bucket: Instant, count: Schema.Int })),
    /** The ten most frequent. */
    topCapabilities: Schema.Array(Schema.Struct({ capability: Schema.String, count: Schema.Int }))
  })
}).annotate({ identifier: "DashboardOverview" })

const { aid, displayName, lastSeenAt, registeredAt, status: agentStatus } = AgentRecord.fields

const AgentPage = Schema.Struct({
  agents: Schema.Array(
    Schema.Struct({
      aid,
      displayName,
      status: agentStatus,
      registeredAt,
      lastSeenAt,
      /** Sessions with it as `aidA`. */
      handshakesAsInitiator: Schema.Int,
      /** Sessions with it as `aidB`. */
      handshakesAsResponder: Schema.Int,
      /** `capability.invoked` events with it as `aidA`. */
      capabilityInvocations: Schema.Int
    })
  ),
  /** Agents in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "DashboardAgents" })

const range: Query.Parameter<Range> = {
  names: ["range", "window"],
  description: "How far to look back; anything else means `24h`.",
  schema: { type: "string", enum: Object.keys(ranges), default: "24h" },
  read: rangeOf
}

/** Query of the overview; takes any value. */
export const overviewQuery = Query.make({ range })

/** Query of the agents. */
export const dashboardAgentsQuery = Query.make({
  limit: Query.limit({ default: 1000, max: 1000 }),
  cursor: Query.cursor
})

const about = (summary: string) => OpenApi.annotations({ summary })

/** Numbers for the console. */
export const DashboardApi = HttpApiGroup.make("dashboard")
  .add(
    HttpApiEndpoint.get("overview", "/api/dashboard/overview", { success: Overview, error: BadRequest })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, overviewQuery.parameters)
      .annotateMerge(about("What happened lately, in numbers")),
    HttpApiEndpoint.get("agents", "/api/dashboard/agents", {
      success: AgentPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, dashboardAgentsQuery.parameters)
      .annotateMerge(about("All agents with what they took part in, oldest registration first"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Dashboard" }))
