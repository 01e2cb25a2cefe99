import { Cache, Context, Data, Effect, Layer, Option } from "effect"
import { encodeBase64url } from "../aitp/base64url.ts"
import * as Document from "../http/Document.ts"
import { Changes } from "./Changes.ts"
import { digestBefore } from "./changes-digest.ts"
import { mergeChanges } from "./changes-merge.ts"
import { commonMembers, type DeltaBody } from "./feed-document.ts"
import { FeedEntries, type FeedSource, keepSuccesses } from "./FeedEntries.ts"
import type { ListUnavailable } from "./model.ts"
import { RevocationList } from "./RevocationList.ts"
import { RevocationSigner } from "./RevocationSigner.ts"

/** There is no such version yet, here or on another replica. */
export class VersionUnknown extends Data.TaggedError("VersionUnknown")<{}> {}

/** The changes after this version are not, or not all, at hand any more. */
export class VersionExpired extends Data.TaggedError("VersionExpired")<{
  /** The oldest version that a delta can start from. */
  readonly earliest: number
}> {}

/** Deltas kept; clients that keep up ask for the same few. */
const KEPT = 32

/** Longest time that a request waits for a version that is unknown here. */
const CATCH_UP_MS = 1000

/** What changed on the list since a version that the client holds. */
export class ChangeFeed extends Context.Service<
  ChangeFeed,
  {
    /**
     * The signed delta from a version to the current one; from the current one, which changes nothing, when undefined.
     * Signed once per pair of versions, and never unless the changes lead to the list as it was signed.
     */
    readonly after: (
      version: number | undefined
    ) => Effect.Effect<Document.Document, ListUnavailable | VersionUnknown | VersionExpired>
  }
>()("cp/revocation/ChangeFeed") {
  static readonly layer = Layer.effect(
    ChangeFeed,
    Effect.gen(function* () {
      const changes = yield* Changes
      const feed = yield* FeedEntries
      const lists = yield* RevocationList
      const signer = yield* RevocationSigner

      const earliest = yield* Cache.makeWith(
        ({ to }: { readonly to: number; readonly list: string }) => changes.earliest(to),
        { capacity: 1, timeToLive: keepSuccesses }
      )

      const changesSince = Effect.fnUntraced(function* (from: number, { key, list }: FeedSource) {
        const to = list.version
        if (from === to) return []
        const oldest = yield* Cache.get(earliest, { to, list: key })
        if (from < oldest) return yield* new VersionExpired({ earliest: oldest })
        return Option.getOrUndefined(yield* changes.between(from, to))
      })

      const make = Effect.fn("ChangeFeed.make")(function* (from: number, source: FeedSource) {
        const { entries, list } = source
        const kept = yield* changesSince(from, source)
        const merged = kept && mergeChanges(kept)
        const before = merged && digestBefore(entries, merged)
        if (merged === undefined || before === undefined) {
          yield* Effect.logError(`the changes kept do not lead from list ${from} to list ${list.version}`)
          return yield* new VersionExpired({ earliest: list.version })
        }
        const body: typeof DeltaBody.Type = {
          ...commonMembers(signer.issuer, list),
          from,
          to: list.version,
          prev_sha256: encodeBase64url(before),
          entries_sha256: encodeBase64url(entries.sha256),
          added: merged.added,
          removed: merged.removed.map(({ jti }) => jti).sort()
        }
        return Document.make(yield* signer.signDocument("revocation_delta", body))
      })
      const deltas = yield* Cache.makeWith(
        ({ from }: { readonly from: number; readonly list: string }) =>
          Effect.flatMap(feed.current, (source) => make(from, source)),
        { capacity: KEPT, timeToLive: keepSuccesses }
      )

      const after = Effect.fnUntraced(function* (version: number | undefined) {
        // Another replica may already have shown the client a version that is still unknown here.
        if (version !== undefined) yield* Effect.timeoutOption(lists.reach(version), CATCH_UP_MS)
        const { key, list } = yield* feed.current
        const from = version ?? list.version
        if (from > list.version) return yield* new VersionUnknown()
        return yield* Cache.get(deltas, { from, list: key })
      })
      return { after }
    })
  )
}
