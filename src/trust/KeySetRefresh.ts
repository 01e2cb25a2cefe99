import { Context, Effect, Layer, Metric, Option, Random, Stream } from "effect"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Egress } from "../egress/Egress.ts"
import { FAILURES, makeKeySetFetch } from "./key-set-fetch.ts"
import { type DueAnchor, type FetchOutcome, KeySets } from "./KeySets.ts"
import { nextRefreshMs } from "./refresh-schedule.ts"

/** Key sets fetched at once by one replica: so many issuers that hang do not hold up the others. */
const CONCURRENCY = 16
/** Pause between two looks for anchors that are due, ms: how soon a new one is fetched. */
const LOOK_EVERY_MS = 1000
/** Requests of one attempt, discovery and key set, and what else may take time. */
const REQUESTS = 2
const MARGIN_MS = 10_000

const refreshes = Metric.counter("jwks_refresh_total", {
  description: "Attempts to fetch the key set of a trust anchor, by what became of them.",
  incremental: true
})

type Outcome = "fetched" | "unchanged" | (typeof FAILURES)[number]

const outcomes: ReadonlyArray<Outcome> = ["fetched", "unchanged", ...FAILURES]

/**
 * Keeps the key sets of trust anchors fresh. Each anchor is claimed by the replica that fetches it, so that all of them
 * together fetch it once per interval, and a replica that dies holds none for longer than its claim.
 */
export class KeySetRefresh extends Context.Service<
  KeySetRefresh,
  {
    /** Fetches all that are due now; the count of attempts. */
    readonly runOnce: Effect.Effect<number>
    /** Fetches each anchor as it becomes due; never ends. A failed look at the database is logged and repeated. */
    readonly run: Effect.Effect<never>
  }
>()("cp/trust/KeySetRefresh") {
  static readonly layer = Layer.effect(
    KeySetRefresh,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const keySets = yield* KeySets
      const fetch = makeKeySetFetch(yield* Egress, settings)
      const { fetchTimeoutMs, refreshIntervalMs } = settings.jwks
      const claim = keySets.claimDue(REQUESTS * 2 * fetchTimeoutMs + MARGIN_MS)

      const series = new Map(
        outcomes.map((outcome) => [outcome, Metric.withAttributes(refreshes, { outcome })] as const)
      )
      for (const each of series.values()) yield* Metric.update(each, 0)
      const count = (outcome: Outcome) => {
        const metric = series.get(outcome)
        return metric === undefined ? Effect.void : Metric.update(metric, 1)
      }

      const settle = Effect.fnUntraced(function* (anchor: DueAnchor, outcome: FetchOutcome) {
        const failures = outcome._tag === "Failed" ? anchor.failures + 1 : 0
        yield* keySets.settle(anchor, outcome, nextRefreshMs(refreshIntervalMs, failures, yield* Random.next))
      })

      const refresh = (anchor: DueAnchor) =>
        fetch(anchor).pipe(
          Effect.tap(({ _tag }) => count(_tag === "Fetched" ? "fetched" : "unchanged")),
          Effect.catchTag("KeySetUnavailable", ({ kind, reason }) =>
            Effect.gen(function* () {
              yield* count(kind)
              const text = `key set of ${anchor.issuerUrl} not fetched: ${reason}`
              // Once per outage: the record of the anchor shows that it lasts.
              yield* anchor.failures === 0 ? Effect.logWarning(text) : Effect.logDebug(text)
              return { _tag: "Failed", reason } satisfies FetchOutcome
            })
          ),
          Effect.flatMap((outcome) => settle(anchor, outcome)),
          Effect.onInterrupt(() => Effect.ignoreCause(keySets.release(anchor))),
          // The claim ends by itself, and then it is tried again.
          Effect.catchCause((cause) => Effect.logWarning("refresh of a key set failed", cause))
        )

      const refreshAll = Stream.mapEffect(refresh, { concurrency: CONCURRENCY, unordered: true })

      const runOnce = Stream.paginate(undefined, () =>
        Effect.map(claim, (due) => [Option.toArray(due), Option.as(due, undefined)] as const)
      ).pipe(refreshAll, Stream.runCount, Effect.withSpan("KeySetRefresh.runOnce"))

      let isWaiting = false
      /** Of an outage only the beginning and the end are logged. */
      const noteWaiting = (now: boolean, note: Effect.Effect<void>) =>
        Effect.suspend(() => {
          if (now === isWaiting) return Effect.void
          isWaiting = now
          return note
        })
      const look = claim.pipe(
        Effect.tap(() => noteWaiting(false, Effect.logInfo("key sets are refreshed again"))),
        Effect.catchCause((cause) =>
          Effect.as(
            noteWaiting(true, Effect.logWarning("key sets wait: what is due cannot be read", cause)),
            Option.none<DueAnchor>()
          )
        ),
        Effect.tap((due) => (Option.isNone(due) ? Effect.sleep(LOOK_EVERY_MS) : Effect.void))
      )
      const run = Stream.fromEffectRepeat(look).pipe(
        Stream.map(Option.toArray),
        Stream.flattenIterable,
        refreshAll,
        Stream.runDrain,
        Effect.andThen(Effect.never)
      )

      return { runOnce: onBackground(runOnce), run: onBackground(run) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { jwks } = yield* AppConfig
      const { run } = yield* KeySetRefresh
      if (jwks.refreshEnabled) yield* Effect.forkScoped(Effect.annotateLogs(run, { job: "key sets" }))
    })
  )
}
