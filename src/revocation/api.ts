import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, open } from "../access/Access.ts"
import { RevocationSnapshot } from "../aitp/revocation-list.ts"
import { DelegationRecord } from "../delegations/record.ts"
import { TctRecord } from "../tcts/record.ts"
import {
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  JtiInvalid,
  NotFound,
  PayloadTooLarge,
  RevocationUnavailable
} from "../wire/errors.ts"
import { Conditional } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"
import { CascadeCounts, EntryRecord, RevokedRecord } from "./record.ts"

const RevocationRequest = Schema.Struct({
  /** Any RFC 9562 UUID, in any case. */
  jti: Schema.String,
  /** ≤ 500 code points. */
  reason: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** Any time a JavaScript `Date` parses, 1970 to 9999; default and latest: now. */
  revokedAt: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** AID. Default: who was observed to have issued the TCT. Only an entry that names it can ever leave the list. */
  issuer: Schema.optionalKey(Schema.NullOr(Schema.String))
}).annotate({ identifier: "Revocation" })

const EntryPage = Schema.Struct({
  entries: Schema.Array(EntryRecord),
  /** Entries in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "RevocationEntryPage" })

const Impact = Schema.Struct({
  jti: Schema.String,
  /** TCTs with the id, at most 1000. */
  tcts: Schema.Array(TctRecord),
  /** The delegation with the id, if there is one, at depth 0, and all below it, oldest first. */
  delegations: Schema.Array(DelegationRecord),
  counts: CascadeCounts,
  /** There are more than 10,000 delegations. */
  truncated: Schema.optionalKey(Schema.Literal(true))
}).annotate({ identifier: "RevocationImpact" })

/** Query of the entries. */
export const entryQuery = Query.make({
  issuer: Query.text(["issuer"], "Issuer; an AID in either of its spellings."),
  since: Query.instant(["since"], "Entries made at this time or later."),
  limit: Query.limit({ default: 100, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

const about = (summary: string) => OpenApi.annotations({ summary })

const SignedList = RevocationSnapshot.annotate({ identifier: "SignedRevocationList" })

const signedList = <const Name extends string, const Path extends `/${string}`>(name: Name, path: Path) =>
  HttpApiEndpoint.get(name, path, { success: SignedList, error: RevocationUnavailable })
    .annotate(Access, open)
    .annotate(Conditional, true)
    .annotateMerge(about("The signed operator deny list"))

/** Paths of the signed list. */
export const LIST_PATHS = [
  "/.well-known/aitp-revocation-list",
  "/api/well-known/aitp-revocation-list"
] as const

/** What operators of this control plane revoke. Advisory: no statement of the issuers of what is revoked. */
export const RevocationApi = HttpApiGroup.make("revocation")
  .add(
    HttpApiEndpoint.post("revoke", "/api/revocation/entries", {
      payload: RevocationRequest,
      success: RevokedRecord.pipe(HttpApiSchema.status(201)),
      error: [
        BodyInvalid,
        JtiInvalid,
        IdempotencyKeyInvalid,
        IdempotencyInProgress,
        IdempotencyKeyReused,
        PayloadTooLarge
      ]
    })
      .annotate(Access, anyOf("revocations:write"))
      .annotateMerge(about("Revokes an id and answers when the signed list names it")),
    HttpApiEndpoint.get("list", "/api/revocation/entries", {
      success: EntryPage,
      error: [BadRequest, CursorInvalid]
    })
      .annotate(Access, anyOf("events:read"))
      .annotate(Query.QueryParameters, entryQuery.parameters)
      .annotateMerge(about("Revoked ids, newest entry first")),
    HttpApiEndpoint.get("get", "/api/revocation/entries/:jti", {
      params: { jti: Schema.String },
      success: EntryRecord,
      error: NotFound
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("The entry for an id")),
    HttpApiEndpoint.get("impact", "/api/revocation/impact/:jti", {
      params: { jti: Schema.String },
      success: Impact,
      error: NotFound
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("What revoking an id would revoke of what was observed; changes nothing")),
    signedList("signedList", LIST_PATHS[0]),
    signedList("signedListAlias", LIST_PATHS[1])
  )
  .annotateMerge(OpenApi.annotations({ title: "Revocation" }))
