import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Access, anyOf, open } from "../access/Access.ts"
import { BadRequest, NotFound, Unavailable } from "../wire/errors.ts"
import { Conditional } from "../wire/headers.ts"
import * as Query from "../wire/query.ts"

const text = (contentType: string) => Schema.String.pipe(HttpApiSchema.asText({ contentType }))
const note = text("text/plain; charset=utf-8")
const bytes = Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" }))

const Base64 = Schema.String.annotate({ contentEncoding: "base64" })
const Hashes = Schema.Array(Base64)

const about = (summary: string, description?: string) =>
  OpenApi.annotations(description === undefined ? { summary } : { summary, description })

const InclusionProof = Schema.Struct({
  /** Place of the event's leaf, its position − 1. */
  logIndex: Schema.Int,
  /** Leaves of the tree it is proven to be in. */
  treeSize: Schema.Int,
  /** The leaf's hash as it was signed. */
  leafHash: Base64,
  /** From the leaf's sibling up to a child of the root (RFC 6962 §2.1.1). */
  hashes: Hashes,
  rootHash: Base64,
  /** The signed checkpoint of that tree, with the cosignatures there are. */
  checkpoint: Schema.String,
  /** What was logged, canonical JSON; its leaf hash is SHA-256(0x00 ‖ UTF-8). */
  entry: Schema.String,
  /** Salt of the entry's hashes of payload and artifacts, base64url; null once the payload is erased. */
  salt: Schema.NullOr(Schema.String)
}).annotate({ identifier: "InclusionProof" })

const ConsistencyProof = Schema.Struct({
  /** Leaves of the older and of the newer tree. */
  from: Schema.Int,
  to: Schema.Int,
  fromRootHash: Base64,
  toRootHash: Base64,
  /** RFC 6962 §2.1.2. */
  hashes: Hashes,
  /** The signed checkpoint that is served now. */
  checkpoint: Schema.String
}).annotate({ identifier: "ConsistencyProof" })

const Verification = Schema.Struct({
  /** Whether all that was looked at is what was logged. */
  verified: Schema.Boolean,
  /** Events found to be what was logged; of a part with a fault, those before it. */
  checkedCount: Schema.Int,
  /** Event at the first fault; null when there is no fault, or nobody knows which event was there. */
  brokenAtId: Schema.NullOr(Schema.String),
  /** Its position. */
  brokenAtSeq: Schema.NullOr(Schema.Int),
  reason: Schema.NullOr(
    Schema.Literals(["columns", "payload", "derived", "leaf", "missing", "inserted", "tree", "checkpoint"])
  ),
  /** First and last position that were looked at. */
  from: Schema.Int,
  to: Schema.Int,
  /** Where to go on; null at the end. */
  nextFrom: Schema.NullOr(Schema.Int),
  /** The checkpoint that the events were compared with. */
  checkpoint: Schema.String
}).annotate({ identifier: "LedgerVerification" })

const position = (name: string, description: string) => ({
  ...Query.text([name], description),
  schema: { type: "integer", minimum: 0 }
})

export const consistencyQuery = Query.make({
  from: position("from", "Leaves of the older tree."),
  to: position("to", "Leaves of the newer tree; the served one unless given.")
})

export const verifyQuery = Query.make({
  from: position("from", "First position; 1 unless given."),
  to: position("to", "Last position; the end of the ledger unless given.")
})

const place = { "*": Schema.String }

/** The transparency log: what anyone needs to check that nothing was altered. */
export const LogApi = HttpApiGroup.make("log")
  .add(
    HttpApiEndpoint.get("checkpoint", "/log/checkpoint", { success: note, error: Unavailable })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("Signed size and root of the log (C2SP tlog-checkpoint)")),
    HttpApiEndpoint.get("key", "/log/key", { success: note, error: Unavailable })
      .annotate(Access, open)
      .annotate(Conditional, true)
      .annotateMerge(about("Verifier key of the checkpoints (C2SP signed-note)")),
    HttpApiEndpoint.get("tile", "/log/tile/:level/*", {
      params: { level: Schema.String, ...place },
      success: bytes,
      error: NotFound
    })
      .annotate(Access, open)
      .annotateMerge(
        about(
          "Hashes of the log's tree (C2SP tlog-tiles)",
          "The place is `<N>` in elements of three digits, all but the last after an `x`, and `.p/<W>` of a partial tile."
        )
      ),
    HttpApiEndpoint.get("entries", "/log/tile/entries/*", { params: place, success: bytes, error: NotFound })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(about("Logged entries, each after its length in two bytes (C2SP tlog-tiles)")),
    HttpApiEndpoint.get("consistency", "/log/consistency", {
      success: ConsistencyProof,
      error: [BadRequest, Unavailable]
    })
      .annotate(Access, open)
      .annotate(Query.QueryParameters, consistencyQuery.parameters)
      .annotateMerge(about("Proof that the log of one size extends that of another")),
    HttpApiEndpoint.get("proof", "/api/events/:id/proof", {
      params: { id: Schema.String },
      success: [note, InclusionProof],
      error: [NotFound, Unavailable]
    })
      .annotate(Access, anyOf("events:read"))
      .annotateMerge(
        about(
          "Proof that an event is in the log",
          "C2SP tlog-proof; with `Accept: application/json` as JSON. Waits up to three seconds for an event that is new."
        )
      ),
    HttpApiEndpoint.get("verify", "/api/audit/verify", {
      success: Verification,
      error: [BadRequest, Unavailable]
    })
      .annotate(Access, anyOf("audit:read"))
      .annotate(Query.QueryParameters, verifyQuery.parameters)
      .annotateMerge(
        about(
          "Compares stored events with the signed log",
          "Up to the first fault, and at most 10,000 events of the range; `nextFrom` says where to go on."
        )
      )
  )
  .annotateMerge(OpenApi.annotations({ title: "Transparency log" }))
