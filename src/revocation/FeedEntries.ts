import { Cache, Context, Duration, Effect, Exit, Layer } from "effect"
import { encodeBase64url } from "../aitp/base64url.ts"
import { digestOfEntries, IndexedEntries } from "./feed-entries.ts"
import { entriesOf } from "./list-text.ts"
import type { ListSnapshot, ListUnavailable } from "./model.ts"
import { RevocationList } from "./RevocationList.ts"

/** A published list and its entries, from which deltas, filter and statuses are made. */
export interface FeedSource {
  /** Tells lists apart; their versions do not where a database was restored and published them anew. */
  readonly key: string
  readonly list: ListSnapshot
  readonly entries: IndexedEntries
}

/** Whatever is not yet known is asked again. */
export const keepSuccesses = <A, E>(exit: Exit.Exit<A, E>): Duration.Input =>
  Exit.isSuccess(exit) ? Duration.infinity : Duration.zero

const keyOf = ({ sha256 }: ListSnapshot): string => encodeBase64url(sha256)

const unreadable = ({ version }: ListSnapshot) =>
  Effect.die(new Error(`the text of list ${version} is not what was published`))

/** The entries of the list as it is served: what the list does not say yet, nothing here does. */
export class FeedEntries extends Context.Service<
  FeedEntries,
  {
    /** Fails exactly when the list itself may not be served. Indexed once per change of the entries. */
    readonly current: Effect.Effect<FeedSource, ListUnavailable>
  }
>()("cp/revocation/FeedEntries") {
  static readonly layer = Layer.effect(
    FeedEntries,
    Effect.gen(function* () {
      const lists = yield* RevocationList
      let known: IndexedEntries | undefined

      const index = Effect.fn("FeedEntries.index")(function* (list: ListSnapshot) {
        const text = entriesOf(list.body)
        if (text === undefined) return yield* unreadable(list)
        const sha256 = digestOfEntries(text)
        if (known?.sha256.equals(sha256) === true) return known
        const steps = IndexedEntries.build(Buffer.from(text.buffer, text.byteOffset, text.byteLength), sha256)
        for (;;) {
          const step = steps.next()
          if (step.done !== true) yield* Effect.yieldNow
          else if (step.value.size === list.entries) return step.value
          else return yield* unreadable(list)
        }
      })

      // The list that is read may be newer than the one asked for, which does no harm: it says itself which it is.
      const sources = yield* Cache.makeWith(
        Effect.fnUntraced(function* (_key: string) {
          const list = yield* lists.current
          known = yield* index(list)
          return { key: keyOf(list), list, entries: known }
        }),
        { capacity: 1, timeToLive: keepSuccesses }
      )
      return { current: Effect.flatMap(lists.current, (list) => Cache.get(sources, keyOf(list))) }
    })
  )
}
