import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf } from "../access/Access.ts"
import {
  BadRequest,
  BodyInvalid,
  CursorInvalid,
  IdempotencyInProgress,
  IdempotencyKeyInvalid,
  IdempotencyKeyReused,
  NotFound
} from "../wire/errors.ts"
import * as Query from "../wire/query.ts"
import { parseInstant } from "../wire/time.ts"
import { Label, Namespace } from "./input.ts"
import { MAX_AID } from "./model.ts"
import { PinnedKeyRecord } from "./record.ts"

const Aid = Schema.NonEmptyString.check(Schema.isMaxCodePoints(MAX_AID))

const PublicKey = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_-]{43,44}$/u, {
    expected: "a public key in base64url: 43 characters, or 44 for P-256"
  })
)

const Time = Schema.String.check(
  Schema.makeFilter((text: string) => parseInstant(text) !== undefined, { expected: "a time" })
)

/** Body of a pin; what is absent is null, also where a pin is replaced. */
export const PinKey = Schema.Struct({
  /** Need not be an AID. */
  aid: Aid,
  pubkey: PublicKey,
  /** Empty or absent: `default`. */
  namespace: Schema.optionalKey(Namespace),
  label: Schema.optionalKey(Schema.NullOr(Label)),
  /** Anything a JavaScript `Date` parses; may be past. */
  expiresAt: Schema.optionalKey(Schema.NullOr(Time))
}).annotate({ identifier: "PinKey" })

const PinnedKeyPage = Schema.Struct({
  pinnedKeys: Schema.Array(PinnedKeyRecord),
  /** Pins in this page. */
  count: Schema.Int,
  nextCursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "PinnedKeyPage" })

const namespace = ["namespace"] as const
const aid = ["aid"] as const

/** Query of the list and of the look-up. */
export const pinQuery = Query.make({
  namespace: Query.text(namespace, "Namespace of the pins; with `aid`, `default` unless given."),
  aid: Query.text(aid, "Exact `aid` of one pin, which is then the answer, not in a list."),
  limit: Query.limit({ default: 1000, max: 1000 }),
  offset: Query.offset,
  cursor: Query.cursor
})

/** Query of a removal. */
export const unpinQuery = Query.make({
  namespace: Query.text(namespace, "Namespace of the pin; `default` unless given."),
  aid: Query.text(aid, "Exact `aid` of the pin; required.")
})

const about = (summary: string) => OpenApi.annotations({ summary })

/** Keys that are trusted for one AID. */
export const PinnedKeysApi = HttpApiGroup.make("pinned-keys")
  .add(
    HttpApiEndpoint.get("list", "/api/pinned-keys", {
      success: Schema.Union([PinnedKeyPage, PinnedKeyRecord]),
      error: [BadRequest, CursorInvalid, NotFound]
    })
      .annotate(Access, anyOf("trust:read"))
      .annotate(Query.QueryParameters, pinQuery.parameters)
      .annotateMerge(about("Pinned keys, newest first; with `aid` just that one")),
    HttpApiEndpoint.post("pin", "/api/pinned-keys", {
      payload: PinKey,
      success: PinnedKeyRecord.pipe(HttpApiSchema.status(201)),
      error: [BodyInvalid, NotFound, IdempotencyKeyInvalid, IdempotencyInProgress, IdempotencyKeyReused]
    })
      .annotate(Access, anyOf("trust:write"))
      .annotateMerge(about("Pins a key, in place of the one that was pinned for this `aid`")),
    HttpApiEndpoint.delete("unpin", "/api/pinned-keys", {
      success: HttpApiSchema.NoContent,
      error: [BadRequest, NotFound]
    })
      .annotate(Access, anyOf("trust:write"))
      .annotate(Query.QueryParameters, unpinQuery.parameters)
      .annotateMerge(about("Removes a pin"))
  )
  .annotateMerge(OpenApi.annotations({ title: "Pinned keys" }))
