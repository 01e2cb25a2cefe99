import { Context, Effect, Layer, Metric, Option, Random, Stream } from "effect"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Egress } from "../egress/Egress.ts"
import { type Lease, Leases } from "../jobs/Leases.ts"
import { type DueList, IssuerLists, type PollOutcome, type UnreadManifest } from "./IssuerLists.ts"
import { IssuerRevocations } from "./IssuerRevocations.ts"
import { makeListFetch } from "./list-fetch.ts"
import { listPlace } from "./list-place.ts"
import { makeAttempt, recorded } from "./poll-attempt.ts"
import { ListChecker } from "./ListChecker.ts"
import { type FailureKind, FAILURES, MAX_LISTS } from "./model.ts"
import { nextPollMs, type PollHints } from "./poll-schedule.ts"

/** Lists fetched at once: so many issuers that hang do not hold up the others. */
const CONCURRENCY = 8
/** A fetch makes its place free after this pause, ms: at most 32 requests a second leave, and 4 to one host. */
const REST_MS = 250
/** Pause between two looks for lists that are due, and for agents that name one, ms. */
const LOOK_EVERY_MS = 1000
const READ_EVERY_MS = 10_000
/** Manifests that are looked into at once. */
const BATCH = 100
/** What an attempt may take beside the request, ms: checking and recording the largest list, among others that wait. */
const MARGIN_MS = 120_000

const fetches = Metric.counter("issuer_list_fetches_total", {
  description: "Attempts to fetch an agent's own revocation list, by what became of them.",
  incremental: true
})

type Outcome = "fetched" | "unchanged" | FailureKind

const outcomes: ReadonlyArray<Outcome> = ["fetched", "unchanged", ...FAILURES]

/**
 * Keeps copies of the lists that registered agents publish about their own TCTs, and learns from them what is revoked. One
 * replica does it under a lease.
 */
export class ListMirror extends Context.Service<
  ListMirror,
  {
    /** Looks which agents name a list, then fetches all lists that are due, one after the other; the count of attempts. */
    readonly runOnce: (lease: Lease) => Effect.Effect<number>
    /** Fetches each list as it becomes due; never ends. A failed look at the database is logged and repeated. */
    readonly run: (lease: Lease) => Effect.Effect<never>
  }
>()("cp/issuer-lists/ListMirror") {
  static readonly layer = Layer.effect(
    ListMirror,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const lists = yield* IssuerLists
      const attempt = makeAttempt({
        fetch: makeListFetch(yield* Egress, settings),
        check: (yield* ListChecker).check,
        revocations: yield* IssuerRevocations,
        acceptWrapped: settings.mirror.acceptWrapped
      })
      const { intervalMs, timeoutMs } = settings.mirror

      const series = new Map(
        outcomes.map((outcome) => [outcome, Metric.withAttributes(fetches, { outcome })] as const)
      )
      for (const each of series.values()) yield* Metric.update(each, 0)
      yield* Metric.update(recorded, 0)
      const count = (outcome: Outcome) => {
        const metric = series.get(outcome)
        return metric === undefined ? Effect.void : Metric.update(metric, 1)
      }

      const read = Effect.gen(function* () {
        let unread: ReadonlyArray<UnreadManifest>
        do {
          unread = yield* lists.unread(BATCH)
          yield* lists.note(
            unread.map(({ aid, manifestJson, manifestSha256 }) => ({
              aid,
              manifestSha256,
              place: listPlace(manifestJson)
            }))
          )
        } while (unread.length === BATCH)
        yield* lists.schedule(MAX_LISTS)
      }).pipe(Effect.withSpan("ListMirror.read"))

      const refresh = (lease: Lease) => (due: DueList) => {
        const settle = Effect.fnUntraced(function* (outcome: PollOutcome, hints: PollHints) {
          yield* lists.settle(lease, due.aid, outcome, nextPollMs(intervalMs, hints, yield* Random.next))
        })
        return attempt(due).pipe(
          Effect.flatMap(({ hints, outcome }) =>
            Effect.andThen(
              count(outcome._tag === "Received" ? "fetched" : "unchanged"),
              settle(outcome, hints)
            )
          ),
          Effect.catchTag("ListUnusable", ({ kind, reason }) =>
            Effect.gen(function* () {
              yield* count(kind)
              const text = `revocation list of ${due.aid} not taken: ${reason}`
              // Once per outage: the state of the list shows that it lasts.
              yield* due.failure === kind
                ? Effect.logDebug(text)
                : kind === "shrunk"
                  ? Effect.logError(text)
                  : Effect.logWarning(text)
              yield* settle({ _tag: "Failed", kind, reason }, { failures: due.failures + 1 })
            })
          ),
          Effect.onInterrupt(() => Effect.ignoreCause(lists.release(lease, due.aid))),
          // It is due again by itself.
          Effect.catchCause((cause) => Effect.logWarning("refresh of a revocation list failed", cause))
        )
      }

      const againInMs = timeoutMs + MARGIN_MS

      const runOnce = (lease: Lease) =>
        Stream.paginate(undefined, () =>
          Effect.map(
            lists.takeDue(lease, [], againInMs),
            (due) => [Option.toArray(due), Option.as(due, undefined)] as const
          )
        ).pipe(
          Stream.mapEffect(refresh(lease)),
          Stream.runCount,
          (fetchAll) => Effect.andThen(read, fetchAll),
          Effect.withSpan("ListMirror.runOnce")
        )

      const reading = Effect.catchCause(read, (cause) =>
        Effect.logWarning("look for agents that name a revocation list failed", cause)
      ).pipe(Effect.andThen(Effect.sleep(Math.min(READ_EVERY_MS, intervalMs))), Effect.forever)

      const fetching = (lease: Lease) =>
        Effect.suspend(() => {
          const busy = new Set<string>()
          const look = lists.takeDue(lease, busy, againInMs).pipe(
            Effect.catchCause((cause) =>
              Effect.as(
                Effect.logWarning("look for due revocation lists failed", cause),
                Option.none<DueList>()
              )
            ),
            Effect.tap(
              Option.match({
                onNone: () => Effect.sleep(LOOK_EVERY_MS),
                onSome: ({ host }) => Effect.sync(() => busy.add(host))
              })
            )
          )
          return Stream.fromEffectRepeat(look).pipe(
            Stream.map(Option.toArray),
            Stream.flattenIterable,
            Stream.mapEffect(
              (due) =>
                refresh(lease)(due).pipe(
                  Effect.andThen(Effect.sleep(REST_MS)),
                  Effect.ensuring(Effect.sync(() => busy.delete(due.host)))
                ),
              { concurrency: CONCURRENCY, unordered: true }
            ),
            Stream.runDrain
          )
        })

      const run = (lease: Lease) =>
        Effect.all([reading, fetching(lease)], { concurrency: "unbounded", discard: true }).pipe(
          Effect.andThen(Effect.never)
        )

      return { runOnce: (lease) => onBackground(runOnce(lease)), run: (lease) => onBackground(run(lease)) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { mirror } = yield* AppConfig
      const leases = yield* Leases
      const { run } = yield* ListMirror
      if (mirror.enabled) {
        yield* Effect.forkScoped(
          Effect.annotateLogs(leases.hold("issuer-lists", run), { job: "issuer lists" })
        )
      }
    })
  )
}
