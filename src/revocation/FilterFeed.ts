import { Worker } from "node:worker_threads"
import { Cache, Context, Effect, Layer, Semaphore } from "effect"
import { encodeBase64url } from "../aitp/base64url.ts"
import { canonicalJson } from "../aitp/jcs.ts"
import { compressed } from "./compression.ts"
import { commonMembers, type FilterBody } from "./feed-document.ts"
import { FeedEntries, keepSuccesses } from "./FeedEntries.ts"
import { type FilterJob, setOf } from "./filter-job.ts"
import { FALSE_POSITIVE_RATE, FILTER_ALGORITHM } from "./filter-set.ts"
import * as ListDocument from "./list-document.ts"
import type { ListUnavailable } from "./model.ts"
import { RevocationSigner, sha256 as digestOf } from "./RevocationSigner.ts"

/** Entries whose set is made on the thread that serves requests, in 3 to 6 ms; a thread for it alone costs 50. */
const MAX_INLINE = 2000

/** How long a client may keep the filter; the same as the list. */
const CACHE_CONTROL = "max-age=60"

const inThread = (job: FilterJob): Effect.Effect<Uint8Array> =>
  Effect.callback((resume) => {
    const thread = new Worker(new URL("filter-worker.ts", import.meta.url), { workerData: job })
    thread.once("message", (coded: Uint8Array) => resume(Effect.succeed(coded)))
    thread.once("error", (error) => resume(Effect.die(error)))
    thread.once("exit", (code) => resume(Effect.die(new Error(`the filter's thread ended with ${code}`))))
    return Effect.promise(() => thread.terminate())
  })

/** The compact form of the list. */
export class FilterFeed extends Context.Service<
  FilterFeed,
  {
    /** Signed once per version of the list; the coded set is made once per change of the entries, off the event loop. */
    readonly current: Effect.Effect<ListDocument.CodedDocument, ListUnavailable>
  }
>()("cp/revocation/FilterFeed") {
  static readonly layer = Layer.effect(
    FilterFeed,
    Effect.gen(function* () {
      const feed = yield* FeedEntries
      const signer = yield* RevocationSigner
      const oneAtATime = (yield* Semaphore.make(1)).withPermits(1)
      let known: { readonly sha256: Buffer; readonly coded: string } | undefined

      const code = Effect.fn("FilterFeed.code")(function* (job: FilterJob, entries: number) {
        return encodeBase64url(yield* entries > MAX_INLINE ? inThread(job) : Effect.sync(() => setOf(job)))
      })

      const make = Effect.gen(function* () {
        const { entries, list } = yield* feed.current
        const { sha256, size, text } = entries
        if (known?.sha256.equals(sha256) !== true) {
          known = { sha256, coded: yield* code({ text, sha256 }, size) }
        }
        const body: typeof FilterBody.Type = {
          ...commonMembers(signer.issuer, list),
          list_version: list.version,
          entries: size,
          entries_sha256: encodeBase64url(sha256),
          algorithm: FILTER_ALGORITHM,
          false_positive_rate: FALSE_POSITIVE_RATE,
          data: known.coded
        }
        const document = Buffer.from(yield* signer.signCanonical("revocation_filter", canonicalJson(body)))
        const digest = yield* digestOf(document)
        return ListDocument.documentOf(
          { body: document, ...(yield* compressed(document)), sha256: digest },
          { cacheControl: CACHE_CONTROL }
        )
      }).pipe(Effect.withSpan("FilterFeed.make"), oneAtATime)

      const documents = yield* Cache.makeWith((_key: string) => make, {
        capacity: 1,
        timeToLive: keepSuccesses
      })
      return { current: Effect.flatMap(feed.current, ({ key }) => Cache.get(documents, key)) }
    })
  )
}
