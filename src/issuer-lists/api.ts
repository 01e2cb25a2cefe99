import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { RevocationSnapshot } from "../aitp/revocation-list.ts"
import { BadRequest, CursorInvalid, NotFound, RevocationUnavailable } from "../wire/errors.ts"
import { Conditional, ResponseHeaders } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { IssuerListRecord } from "./record.ts"

const IssuerListPage = Schema.Struct({
  issuers: Schema.Array(IssuerListRecord),
  /** Lists in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "IssuerListPage" })

/** Query of the lists. */
export const issuerListQuery = Query.make({
  limit: Query.limit({ default: 100, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

const COPY_HEADERS = [
  {
    name: "X-Issuer-List-Fetched-At",
    description: "When the issuer last sent the copy, or said that it is unchanged.",
    schema: { type: "string", format: "date-time" }
  },
  { name: "Age", description: "Seconds since then.", schema: { type: "integer", minimum: 0 } }
]

const about = (summary: string) => OpenApi.annotations({ summary })

/** Copies of the lists that agents publish about their own TCTs. */
export const IssuerListsApi = HttpApiGroup.make("issuer-lists")
  .add(
    HttpApiEndpoint.get("list", "/api/revocation/issuers", {
      success: IssuerListPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, issuerListQuery.parameters)
      .annotateMerge(about("Agents that name their own revocation list, and how fresh the copy is")),
    HttpApiEndpoint.get("copy", "/api/revocation/issuers/:aid/list", {
      params: { aid: Schema.String },
      success: RevocationSnapshot.annotate({ identifier: "IssuerSignedList" }),
      error: [NotFound, RevocationUnavailable]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Conditional, true)
      .annotate(ResponseHeaders, COPY_HEADERS)
      .annotateMerge(about("An agent's own revocation list, byte for byte as the agent signed and sent it"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Issuer lists" }))
