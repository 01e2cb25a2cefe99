import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, open } from "../access/Access.ts"
import { CursorExpired, CursorInvalid, JtiInvalid, RevocationUnavailable } from "../wire/errors.ts"
import { Conditional } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { RevocationDelta, RevocationFilter, RevocationStatus } from "./feed-document.ts"

/** Query of the deltas. */
export const changesQuery = Query.make({
  after: Query.text(["after"], "Version of the list that the client holds; the current one unless given.")
})

const about = (summary: string) => OpenApi.annotations({ summary })

/** Small signed documents made from the published list, for those who would rather not fetch it in full. */
export const RevocationFeedsApi = HttpApiGroup.make("revocation-feeds")
  .add(
    HttpApiEndpoint.get("changes", "/api/revocation/changes", {
      success: RevocationDelta,
      error: [CursorInvalid, CursorExpired, RevocationUnavailable]
    })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotate(Query.QueryParameters, changesQuery.parameters)
      .annotateMerge(about("What changed on the operator deny list since a version, signed")),
    HttpApiEndpoint.get("filter", "/api/revocation/filter", {
      success: RevocationFilter,
      error: RevocationUnavailable
    })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("The operator deny list as a compact set, signed")),
    HttpApiEndpoint.get("status", "/api/revocation/status/:jti", {
      params: { jti: Schema.String },
      success: RevocationStatus,
      error: [JtiInvalid, RevocationUnavailable]
    })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("What the operator deny list says about one token, signed"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Revocation feeds" }))
