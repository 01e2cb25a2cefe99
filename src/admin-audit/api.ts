import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { BadRequest, CursorInvalid } from "../wire/errors.ts"
import * as Query from "../wire/query.ts"

/** One administrative act, recorded in the transaction of the act itself. */
const AdminActRecord = Schema.Struct({
  /** UUIDv7. */
  id: Schema.String,
  /** `<subject>.<verb>`, such as `webhook.create`. */
  action: Schema.String,
  /** Who acted: id of a key or principal, never a credential; `system` for the service itself. */
  actorId: Schema.String,
  /** What was acted upon: an AID, a `jti`, the id of a record; null when the act has no single target. */
  targetId: Schema.NullOr(Schema.String),
  /** What changed, depending on the action. Secrets never. */
  details: Schema.Record(Schema.String, Schema.Unknown),
  /** `X-Request-Id` of the request; null for acts of the service itself. */
  requestId: Schema.NullOr(Schema.String),
  createdAt: Schema.String.annotate({ format: "date-time" })
}).annotate({ identifier: "AdminAct" })

const AdminAuditPage = Schema.Struct({
  entries: Schema.Array(AdminActRecord),
  /** Entries in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "AdminAuditPage" })

/** Query of the list. */
export const adminAuditQuery = Query.make({
  action: Query.text(["action"], "Exact action."),
  actorId: Query.text(["actor_id", "actorId"], "Exact actor."),
  targetId: Query.text(["target_id", "targetId"], "Exact target."),
  since: Query.instant(["since"], "Earliest `createdAt`, inclusive."),
  until: Query.instant(["until"], "Latest `createdAt`, inclusive."),
  limit: Query.limit({ default: 100, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Who changed what in the service. */
export const AdminAuditApi = HttpApiGroup.make("admin-audit")
  .add(
    HttpApiEndpoint.get("list", "/api/audit", {
      success: AdminAuditPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("audit:read"))
      .annotate(Query.QueryParameters, adminAuditQuery.parameters)
      .annotateMerge(OpenApi.annotations({ summary: "Administrative acts, newest first" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Admin audit" }))
