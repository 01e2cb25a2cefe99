import { Context, Effect, Layer, Option, Queue, Schedule } from "effect"
import { AppConfig } from "../config.ts"
import { LedgerHints } from "../events/LedgerHints.ts"
import { frameOf } from "./frame.ts"
import { LedgerPages } from "./LedgerPages.ts"
import type { Refusal, Start } from "./position.ts"
import { StreamMetrics } from "./StreamMetrics.ts"
import { Tail } from "./Tail.ts"

/** Longest time in ms without a look at the ledger: bounds what a lost hint costs, and the age of the extent. */
const POLL_MS = 1000
/** Pause in ms after a look: what is committed meanwhile is read, joined and sent together. */
const SPACING_MS = 4
/** The same while nobody waits for events: fewer and larger reads, which leaves more for ingest. */
const UNAWAITED_SPACING_MS = 50
/** Events read at once; with the largest payloads about 16 MB. */
const PAGE = 250
/** Longest wait in ms for a position that another replica has already given out. */
const AHEAD_MS = 1000

/** Follows the ledger for all streams of this process: reads each event once and makes its frame once. */
export class AuditBus extends Context.Service<
  AuditBus,
  {
    readonly tail: Tail
    /** There may be something new; returns at once. */
    readonly wake: () => void
    /** The position to read after, having waited for one that is ahead of this replica. */
    readonly settle: (
      start: Start
    ) => Effect.Effect<{ readonly after: number } | { readonly refused: Refusal }>
  }
>()("cp/stream/AuditBus") {
  static readonly layer = Layer.effect(
    AuditBus,
    Effect.gen(function* () {
      const { lookBack } = (yield* AppConfig).stream
      const hints = yield* LedgerHints
      const pages = yield* LedgerPages
      const metrics = yield* StreamMetrics
      const signals = yield* Queue.sliding<void>(1)
      const awaited = yield* Queue.sliding<void>(1)
      const wake = () => void Queue.offerUnsafe(signals, undefined)
      let lookedAt = Date.now()
      let measuredAt = Number.NEGATIVE_INFINITY

      /** A tail that has yet to read the newest events there are. */
      const begin = Effect.map(pages.extent, (extent) => ({
        ...extent,
        head: Math.max(extent.head - lookBack, extent.oldest - 1, 0)
      }))

      /** All that is there beyond `head`; the age in s of the newest event, 0 without one. */
      const read = (tail: Tail) =>
        Effect.gen(function* () {
          let rows = yield* pages.next(tail.extent.head, PAGE)
          let newest = rows.at(-1)
          while (rows.length > 0) {
            tail.advance(rows.map((row) => frameOf(tail.extent.epoch, row)))
            newest = rows.at(-1)
            rows = rows.length < PAGE ? [] : yield* pages.next(tail.extent.head, PAGE)
          }
          lookedAt = Date.now()
          return newest === undefined ? 0 : Math.max(0, lookedAt - newest.createdAt.getTime()) / 1000
        })

      /** Where the ledger begins and ends; once a second, and before the first look. */
      const measure = (tail: Tail) =>
        Effect.gen(function* () {
          const { epoch, oldest } = yield* pages.extent
          if (epoch === tail.extent.epoch) tail.retain(oldest)
          else {
            yield* Effect.logWarning(`the ledger has a new epoch, ${epoch}: streams begin anew`)
            const extent = yield* begin
            tail.restart(extent)
          }
          measuredAt = performance.now()
        })

      const first = yield* Effect.retry(begin, Schedule.spaced(POLL_MS)).pipe(Effect.orDie)
      const tail = new Tail(lookBack, first, () => void Queue.offerUnsafe(awaited, undefined))
      yield* Effect.retry(read(tail), Schedule.spaced(POLL_MS)).pipe(Effect.orDie)

      let failing = false
      const look = Effect.suspend(() =>
        performance.now() - measuredAt < POLL_MS ? Effect.void : measure(tail)
      ).pipe(
        Effect.andThen(read(tail)),
        Effect.matchCauseEffect({
          onSuccess: (age) =>
            Effect.sync(() => {
              failing = false
              metrics.lag(age)
            }),
          onFailure: (cause) => {
            metrics.lag((Date.now() - lookedAt) / 1000)
            const first = !failing
            failing = true
            return Effect.andThen(
              first ? Effect.logWarning("the ledger cannot be read; streams wait", cause) : Effect.void,
              Effect.sleep(POLL_MS)
            )
          }
        })
      )
      const pause = Effect.suspend(() =>
        tail.isAwaited
          ? Effect.sleep(SPACING_MS)
          : Effect.timeoutOption(Queue.take(awaited), UNAWAITED_SPACING_MS)
      )
      yield* Queue.take(signals).pipe(
        Effect.timeoutOption(POLL_MS),
        Effect.andThen(look),
        Effect.andThen(pause),
        Effect.forever,
        Effect.forkScoped
      )
      yield* Effect.acquireRelease(
        Effect.sync(() => hints.subscribe(wake)),
        (unsubscribe) => Effect.sync(unsubscribe)
      )

      /** Whether `head` gets to `seq` in time; looks at the ledger at once. */
      const reach = (seq: number) =>
        Effect.callback<boolean>((resume) => {
          if (tail.extent.head >= seq) return resume(Effect.succeed(true))
          const forget = tail.onReached(seq, () => resume(Effect.succeed(true)))
          wake()
          return Effect.sync(forget)
        }).pipe(Effect.timeoutOption(AHEAD_MS), Effect.map(Option.getOrElse(() => false)))

      const settle = (start: Start) => {
        if (start._tag === "after") return Effect.succeed({ after: start.seq })
        if (start._tag === "refused") return Effect.succeed({ refused: start.reason })
        return Effect.map(reach(start.seq), (reached) =>
          reached ? { after: start.seq } : { refused: "malformed" as const }
        )
      }

      return { tail, wake, settle }
    })
  )
}
