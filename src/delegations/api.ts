import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { BadRequest, CursorInvalid } from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { DelegationRecord } from "./record.ts"

const DelegationPage = Schema.Struct({
  delegations: Schema.Array(DelegationRecord),
  /** Delegations in this page. */
  count: Schema.Int,
  /** Null for a tree, which is one page. */
  nextCursor: Schema.NullOr(Schema.String),
  /** The tree has more than 10,000 delegations. */
  truncated: Schema.optionalKey(Schema.Literal(true))
}).annotate({ identifier: "DelegationPage" })

/** Query of the list. */
export const delegationQuery = Query.make({
  rootJti: Query.uuid(
    ["root_jti", "rootJti"],
    "The whole tree of this delegation, or below this TCT, oldest first; all other parameters are ignored."
  ),
  parentJti: Query.uuid(["parent_jti", "parentJti"], "Direct children only."),
  delegator: Query.text(["delegator"], "Delegator, as reported."),
  delegatee: Query.text(["delegatee"], "Delegatee, as reported."),
  active: Query.flag(["active"], "Only those that are neither revoked nor expired."),
  limit: Query.limit({ default: 100, max: 1000, zero: "default" }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Delegations seen in reported events. */
export const DelegationsApi = HttpApiGroup.make("delegations")
  .add(
    HttpApiEndpoint.get("list", "/api/delegations", {
      success: DelegationPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, delegationQuery.parameters)
      .annotateMerge(OpenApi.annotations({ summary: "Observed delegations, newest first, or one tree" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Delegations" }))
