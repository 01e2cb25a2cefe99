import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, platform } from "../access/Access.ts"
import {
  AlreadyExists,
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  JwksNotCached,
  NotFound
} from "../wire/errors.ts"
import { Conditional, ResponseHeaders } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { IssuerUrl, Label, Namespace, OptionalJwksUrl } from "./input.ts"
import { TrustAnchorRecord } from "./record.ts"
import { TrustDocumentBody } from "./trust-document.ts"

const optional = {
  /** Null and the empty text: where the issuer's discovery document says. */
  jwksUrl: Schema.optionalKey(OptionalJwksUrl),
  label: Schema.optionalKey(Schema.NullOr(Label))
}

/** Body of a new anchor. */
export const CreateTrustAnchor = Schema.Struct({
  issuerUrl: IssuerUrl,
  /** Empty or absent: `default`. */
  namespace: Schema.optionalKey(Namespace),
  ...optional
}).annotate({ identifier: "CreateTrustAnchor" })

/** Body of an update: what is absent stays as it is. The namespace is fixed. */
export const UpdateTrustAnchor = Schema.Struct({
  issuerUrl: Schema.optionalKey(IssuerUrl),
  ...optional
}).annotate({ identifier: "UpdateTrustAnchor" })

const TrustAnchorPage = Schema.Struct({
  trustAnchors: Schema.Array(TrustAnchorRecord),
  /** Anchors in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "TrustAnchorPage" })

const JsonWebKeySet = Schema.StructWithRest(
  Schema.Struct({
    /** Public keys, as the issuer describes them (RFC 7517). */
    keys: Schema.Array(Schema.Record(Schema.String, Schema.Json))
  }),
  [Schema.Record(Schema.String, Schema.Json)]
).annotate({ identifier: "JsonWebKeySet" })

/** Query of the list. */
export const trustAnchorQuery = Query.make({
  namespace: Query.text(["namespace"], "Namespace of the anchors."),
  limit: Query.limit({ default: 1000, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Query of the trust document. */
export const trustDocumentQuery = Query.make({
  namespace: Query.text(["namespace"], "Namespace whose anchors and pins are shown; `default` unless given.")
})

const CACHED_AT = {
  name: "X-JWKS-Cached-At",
  description: "When the key set was fetched.",
  schema: { type: "string", format: "date-time" }
}

const params = { id: Schema.String }
const reads = anyOf("trust:read")
const writes = anyOf("trust:write")
const about = (summary: string) => OpenApi.annotations({ summary })

/** Issuers whose keys are trusted. */
export const TrustAnchorsApi = HttpApiGroup.make("trust-anchors")
  .add(
    HttpApiEndpoint.get("list", "/api/trust-anchors", {
      success: TrustAnchorPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, reads)
      .annotate(Query.QueryParameters, trustAnchorQuery.parameters)
      .annotateMerge(about("Trust anchors, newest first")),
    HttpApiEndpoint.post("create", "/api/trust-anchors", {
      payload: CreateTrustAnchor,
      success: TrustAnchorRecord.pipe(HttpApiSchema.status(201)),
      error: [
        BodyInvalid,
        NotFound,
        AlreadyExists,
        IdempotencyKeyInvalid,
        IdempotencyInProgress,
        IdempotencyKeyReused
      ]
    })
      .annotate(Access, writes)
      .annotateMerge(about("Trusts an issuer in a namespace; its key set is fetched soon after")),
    HttpApiEndpoint.get("get", "/api/trust-anchors/:id", {
      params,
      success: TrustAnchorRecord,
      error: NotFound
    })
      .annotate(Access, reads)
      .annotateMerge(about("One trust anchor")),
    HttpApiEndpoint.patch("update", "/api/trust-anchors/:id", {
      params,
      payload: UpdateTrustAnchor,
      success: TrustAnchorRecord,
      error: [BodyInvalid, NotFound, AlreadyExists]
    })
      .annotate(Access, writes)
      .annotateMerge(about("Changes the members that are given; another URL drops the cached key set")),
    HttpApiEndpoint.delete("remove", "/api/trust-anchors/:id", {
      params,
      success: HttpApiSchema.NoContent,
      error: NotFound
    })
      .annotate(Access, writes)
      .annotateMerge(about("Removes a trust anchor")),
    HttpApiEndpoint.get("jwks", "/api/trust-anchors/:id/jwks", {
      params,
      success: JsonWebKeySet,
      error: [NotFound, JwksNotCached]
    })
      .annotate(Access, reads)
      .annotate(Conditional, true)
      .annotate(ResponseHeaders, [CACHED_AT])
      .annotateMerge(
        about("The last good key set of the issuer, as it was received; `X-JWKS-Cached-At` says when")
      ),
    HttpApiEndpoint.get("document", "/api/trust-document", {
      success: TrustDocumentBody,
      error: BadRequest
    })
      .annotate(Access, platform)
      .annotate(Query.QueryParameters, trustDocumentQuery.parameters)
      .annotateMerge(about("Anchors and pins of a namespace as a trust-anchors document (RFC-AITP-0002 §4)"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Trust anchors" }))
