import { Context, Effect, Layer } from "effect"
import type { HttpServerResponse } from "effect/http"
import { brotliCompressSync, gzipSync } from "node:zlib"
import { Identity } from "../../../src/identity/Identity.ts"
import { ChangeFeed } from "../../../src/revocation/ChangeFeed.ts"
import { Changes } from "../../../src/revocation/Changes.ts"
import { FeedEntries } from "../../../src/revocation/FeedEntries.ts"
import { FilterFeed } from "../../../src/revocation/FilterFeed.ts"
import { RevocationList } from "../../../src/revocation/RevocationList.ts"
import { RevocationLists } from "../../../src/revocation/RevocationLists.ts"
import { RevocationSigner } from "../../../src/revocation/RevocationSigner.ts"
import { StatusFeed } from "../../../src/revocation/StatusFeed.ts"
import { Db } from "../../../src/db/Db.ts"
import { testPlatform } from "../TestPlatform.ts"
import { publisher } from "./documents.ts"
import type { Entry, Kept } from "./histories.ts"

const SEED_HEX = "7a".repeat(32)

/** The control plane whose replicas these are. */
export const cp = publisher(SEED_HEX)

/** Names of the documents signed by a replica, in order. */
export class Signed extends Context.Service<Signed, Array<string>>()("cp/test/Signed") {}

const Signer = Layer.effectContext(
  Effect.gen(function* () {
    const signer = yield* RevocationSigner
    const names: Array<string> = []
    const noted = (name: string) => Effect.sync(() => void names.push(name))
    return Context.make(Signed, names).pipe(
      Context.add(RevocationSigner, {
        ...signer,
        signDocument: (name, body) => Effect.andThen(noted(name), signer.signDocument(name, body)),
        signCanonical: (name, body) => Effect.andThen(noted(name), signer.signCanonical(name, body))
      })
    )
  })
).pipe(Layer.provide(RevocationSigner.layer), Layer.provide(Identity.layer))

/** What one replica makes of the published lists, on the database of the suite. */
export const Replica = Layer.mergeAll(ChangeFeed.layer, FilterFeed.layer, StatusFeed.layer).pipe(
  Layer.provideMerge(FeedEntries.layer),
  Layer.provideMerge(Changes.layer),
  Layer.provideMerge(RevocationList.layer.pipe(Layer.provide(RevocationLists.layer))),
  Layer.provideMerge(Signer),
  Layer.provideMerge(testPlatform({ CP_AID_SEED_HEX: SEED_HEX }))
)

/** A list as it is published. */
export interface Published {
  readonly version: number
  readonly entries: ReadonlyArray<Entry>
  /** How it differs from the version before. */
  readonly changes: ReadonlyArray<Kept>
  /** Seconds before now. */
  readonly ageSecs?: number
}

/** Publishes a version as the service would, and gives the text of the list. */
export const publish = Effect.fnUntraced(function* ({ ageSecs = 0, changes, entries, version }: Published) {
  const { sql } = yield* Db
  const publishedAt = Math.floor(Date.now() / 1000) - ageSecs
  const text = cp.sign("revocation_list", {
    version: "aitp/0.2",
    issuer: cp.aid,
    published_at: publishedAt,
    expires_at: publishedAt + 3600,
    entries
  })
  const body = Buffer.from(text)
  const rows = JSON.stringify(changes.map(({ jti, op, reason, revokedAt }) => [jti, op, revokedAt, reason]))
  yield* sql`
    with list as (
      insert into revocation_lists (
        version, published_at, expires_at, entries, sha256, body, body_gzip, body_br, covers_seq, changed, announced,
        input_hash)
      values (
        ${version}::bigint, ${publishedAt}::bigint, ${publishedAt + 3600}::bigint, ${entries.length}::int,
        sha256(${body}::bytea), convert_from(${body}::bytea, 'UTF8'), ${gzipSync(body, { level: 1 })}::bytea,
        ${brotliCompressSync(body, { params: { 1: 1 } })}::bytea, 0, ${changes.length > 0}, true, '')
    ),
    changes as (
      insert into revocation_list_changes (version, jti, op, revoked_at, reason)
      select ${version}::bigint, (c ->> 0)::uuid, (c ->> 1)::"char", (c ->> 2)::bigint, c ->> 3
      from json_array_elements(${rows}::json) as c
    )
    update revocation_publication set version = ${version}::bigint, published_at = ${publishedAt}::bigint`
  return text
})

/** Forgets everything that was published. */
export const unpublished = Effect.gen(function* () {
  const { sql } = yield* Db
  yield* sql`delete from revocation_list_changes`
  yield* sql`delete from revocation_lists`
  yield* sql`update revocation_publication set version = 0, published_at = 0`
})

/** The body of an answer. */
export const textOf = ({ body }: HttpServerResponse.HttpServerResponse): string =>
  body._tag === "Uint8Array" ? Buffer.from(body.body).toString("utf8") : ""
