import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import { BadRequest, CursorInvalid, NotFound } from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { TctRecord } from "./record.ts"

/** Largest page, and most issuers shown of one `jti`. */
export const MAX_TCTS = 1000

const TctPage = Schema.Struct({
  tcts: Schema.Array(TctRecord),
  /** TCTs in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "ObservedTctPage" })

const SameJti = Schema.Struct({
  /** One for each issuer that is said to have used this `jti`; the newest 1000. */
  tcts: Schema.Array(TctRecord)
}).annotate({ identifier: "ObservedTcts" })

/** Query of the list. */
export const tctQuery = Query.make({
  issuer: Query.text(["issuer"], "Issuer, as reported."),
  subject: Query.text(["subject"], "Subject, as reported."),
  audience: Query.text(["audience"], "Audience, as reported."),
  capability: Query.text(["capability"], "Exact member of `grants`."),
  sessionId: Query.text(["session_id", "sessionId"], "Session that issued them."),
  jti: Query.uuid(["jti"], "Token id; several issuers may have used it."),
  active: Query.flag(["active"], "Only those that nobody says are revoked and that have not expired."),
  limit: Query.limit({ default: 100, max: MAX_TCTS, zero: "default" }),
  offset: Query.offset,
  cursor: Query.cursor
})

const about = (summary: string) => OpenApi.annotations({ summary })

/** TCTs seen in reported events. The service issues none and vouches for none. */
export const TctsApi = HttpApiGroup.make("tcts")
  .add(
    HttpApiEndpoint.get("list", "/api/tcts", { success: TctPage, error: [BadRequest, CursorInvalid] })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, tctQuery.parameters)
      .annotateMerge(about("Observed TCTs, newest first")),
    HttpApiEndpoint.get("get", "/api/tcts/:jti", {
      params: { jti: Schema.String },
      success: SameJti,
      error: NotFound
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("Observed TCTs with this id"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Observed TCTs" }))
