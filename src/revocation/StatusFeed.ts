import { Cache, Context, Effect, Layer } from "effect"
import type { Uuid } from "../aitp/ids.ts"
import * as Document from "../http/Document.ts"
import { commonMembers, type StatusBody } from "./feed-document.ts"
import { FeedEntries, keepSuccesses } from "./FeedEntries.ts"
import type { ListUnavailable } from "./model.ts"
import { RevocationSigner } from "./RevocationSigner.ts"

/** Statuses kept; to make one takes about 0.1 ms. */
const KEPT = 1024

/** The exact look-up behind the filter. */
export class StatusFeed extends Context.Service<
  StatusFeed,
  {
    /** What the list, as it is served, says about an id. */
    readonly of: (jti: Uuid) => Effect.Effect<Document.Document, ListUnavailable>
  }
>()("cp/revocation/StatusFeed") {
  static readonly layer = Layer.effect(
    StatusFeed,
    Effect.gen(function* () {
      const feed = yield* FeedEntries
      const signer = yield* RevocationSigner

      const statuses = yield* Cache.makeWith(
        Effect.fnUntraced(function* ({ jti }: { readonly jti: Uuid; readonly list: string }) {
          const { entries, list } = yield* feed.current
          const entry = entries.find(jti)
          const body: typeof StatusBody.Type = {
            ...commonMembers(signer.issuer, list),
            list_version: list.version,
            jti,
            revoked: entry !== undefined,
            ...(entry && { revoked_at: entry.revoked_at }),
            ...(entry?.reason !== undefined && { reason: entry.reason })
          }
          return Document.make(yield* signer.signDocument("revocation_status", body))
        }),
        { capacity: KEPT, timeToLive: keepSuccesses }
      )
      return {
        of: (jti) => Effect.flatMap(feed.current, ({ key }) => Cache.get(statuses, { jti, list: key }))
      }
    })
  )
}
