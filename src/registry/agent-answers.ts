import { Effect, Option, Schema } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Principal } from "../access/Principal.ts"
import { visibilityKey } from "../access/Visibility.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { AgentNotActive, NotFound } from "../wire/errors.ts"
import { cursors, Instant, pageOf } from "../wire/page.ts"
import type { Agents } from "./Agents.ts"
import { discoveryQuery } from "./api.ts"
import type { AgentQuery } from "./discovery.ts"
import type { Agent } from "./model.ts"
import { agentRecord } from "./record.ts"
import type { Answer } from "./RegistryAnswers.ts"

type Request = HttpServerRequest.HttpServerRequest

const isStatus = Schema.is(Schema.Literals(["active", "expired", "deregistered", "all"]))

const agentCursors = cursors(Schema.Struct({ registeredAt: Instant, aid: Schema.String }))

/** When the first of the active agents expires, ms since 1970. */
const firstExpiry = (agents: ReadonlyArray<Agent>): number =>
  agents.reduce(
    (first, { manifestExpiresAt, status }) =>
      status === "active" ? Math.min(first, manifestExpiresAt.getTime()) : first,
    Number.POSITIVE_INFINITY
  )

/** A text with tag and digest, for as long as it holds. */
const documentAnswer = (text: string, until: number, options: Document.DocumentOptions): Answer => {
  const document = Document.make(text, options)
  return { to: (request) => Document.respond(document, request), length: text.length, until }
}

export const agentNotFound = () => new NotFound({ error: "no such agent" })

/** What the registry answers about agents, to be kept until one of them changes. */
export const makeAgentAnswers = (agents: Agents["Service"]) => {
  /** The agent with this AID, in any status, as far as the caller may see it. */
  const find = Effect.fnUntraced(function* (aid: string) {
    const { principal } = yield* CurrentRequest
    const agent = yield* agents.findByAid(aid, principal.visibility)
    return Option.isSome(agent) ? agent.value : yield* agentNotFound()
  })

  /** A page of discovery. */
  const page = Effect.fnUntraced(function* (request: Request) {
    const { principal, route } = yield* CurrentRequest
    const { cursor, limit, offset, status, ...filters } = yield* Query.read(discoveryQuery)
    const list = {
      route: route.template,
      filters: { ...filters, status },
      order: "registeredAt,aid",
      visibility: visibilityKey(principal.visibility)
    }
    const position = yield* Effect.fromResult(agentCursors.read(list, cursor))
    const query: AgentQuery = {
      ...filters,
      status: isStatus(status) ? status : "active",
      limit,
      offset: position === undefined ? offset : 0,
      after: position
    }
    const found = yield* agents.list(query, principal.visibility)
    const { nextCursor, rows } = pageOf(found, limit, (last) =>
      agentCursors.after(list, { registeredAt: last.registeredAt, aid: last.aid })
    )
    const text = JSON.stringify({ agents: rows.map(agentRecord), count: rows.length, nextCursor })
    const response = Reply.text(text, { headers: Reply.pageHeaders(request, nextCursor) })
    // Others than active agents are listed among the expired ones when they expire: such a page may end at any time.
    const until = query.status === "active" || query.status === "all" ? firstExpiry(found) : 0
    return { to: () => response, length: text.length, until } satisfies Answer
  })

  const record = Effect.fnUntraced(function* (aid: string) {
    const { manifestJson: _, ...agent } = yield* find(aid)
    return documentAnswer(JSON.stringify(agentRecord(agent)), firstExpiry([agent]), {
      cacheControl: "public, max-age=30"
    })
  })

  const manifest = Effect.fnUntraced(function* (aid: string, { kind }: Principal) {
    const agent = yield* find(aid)
    const { manifestJson, status } = agent
    if (status === "active")
      return documentAnswer(manifestJson, firstExpiry([agent]), { cacheControl: "max-age=60" })
    if (kind !== "platform") return yield* new AgentNotActive({ status })
    // To platform keys only, which the caller's visibility does not tell apart: not to be kept.
    const headers = { "aitp-agent-status": status }
    return documentAnswer(manifestJson, 0, { cacheControl: "no-store", headers })
  })

  return { find, manifest, page, record }
}
