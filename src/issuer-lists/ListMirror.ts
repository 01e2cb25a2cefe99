import { Clock, Context, Effect, Layer, Metric, Option, Random, Stream } from "effect"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Egress } from "../egress/Egress.ts"
import { type Lease, Leases } from "../jobs/Leases.ts"
import { type DueList, IssuerLists, type PollOutcome } from "./IssuerLists.ts"
import { IssuerRevocations } from "./IssuerRevocations.ts"
import { makeListFetch } from "./list-fetch.ts"
import { listPlace } from "./list-place.ts"
import { ListChecker } from "./ListChecker.ts"
import { type FailureKind, FAILURES, ListUnusable, MAX_LISTS } from "./model.ts"
import { nextPollMs, type PollHints } from "./poll-schedule.ts"

/** Lists fetched at once: so many issuers that hang do not hold up the others. */
const CONCURRENCY = 8
/** A fetch makes its place free after this pause, ms: at most 32 requests a second leave, and 4 to one host. */
const REST_MS = 250
/** Pause between two looks for lists that are due, and for agents that name one, ms. */
const LOOK_EVERY_MS = 1000
const READ_EVERY_MS = 10_000
/** Manifests that are looked into at once. */
const BATCH = 500
/** What an attempt may take beside the request, ms: checking and recording the largest list, among others that wait. */
const MARGIN_MS = 120_000

const fetches = Metric.counter("issuer_list_fetches_total", {
  description: "Attempts to fetch an agent's own revocation list, by what became of them.",
  incremental: true
})

const recorded = Metric.counter("issuer_revocations_recorded_total", {
  description: "Revocations learnt from agents' own lists.",
  incremental: true
})

type Result = "fetched" | "unchanged" | FailureKind

const results: ReadonlyArray<Result> = ["fetched", "unchanged", ...FAILURES]

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
      const revocations = yield* IssuerRevocations
      const { check } = yield* ListChecker
      const fetch = makeListFetch(yield* Egress, settings)
      const { acceptWrapped, intervalMs, timeoutMs } = settings.mirror

      const series = new Map(
        results.map((outcome) => [outcome, Metric.withAttributes(fetches, { outcome })] as const)
      )
      for (const each of series.values()) yield* Metric.update(each, 0)
      yield* Metric.update(recorded, 0)
      const count = (outcome: Result) => {
        const metric = series.get(outcome)
        return metric === undefined ? Effect.void : Metric.update(metric, 1)
      }

      const read = Effect.gen(function* () {
        for (;;) {
          const unread = yield* lists.unread(BATCH)
          yield* lists.note(
            unread.map(({ aid, manifestJson, manifestSha256 }) => ({
              aid,
              manifestSha256,
              place: listPlace(manifestJson)
            }))
          )
          if (unread.length < BATCH) break
        }
        yield* lists.schedule(MAX_LISTS)
      }).pipe(Effect.withSpan("ListMirror.read"))

      /** In small transactions, each followed by a pause of its own length: every append waits for them. */
      const record = Effect.fnUntraced(function* (aid: string, chunks: ReadonlyArray<string>) {
        for (const chunk of chunks) {
          const [took, fresh] = yield* Effect.timed(revocations.record(aid, chunk))
          if (fresh === 0) continue
          yield* Metric.update(recorded, fresh)
          yield* Effect.sleep(took)
        }
      })

      const attempt = Effect.fn("ListMirror.attempt")(function* (due: DueList) {
        const nowSecs = (yield* Clock.currentTimeMillis) / 1000
        const isServed = due.expiresAt !== null && due.expiresAt > nowSecs
        const etag = due.source === due.uri && isServed ? due.etag : null
        const answer = yield* fetch({ uri: due.uri, etag })
        const { maxAgeSecs } = answer
        if (answer._tag === "Unchanged") {
          const validForSecs = (due.expiresAt ?? nowSecs) - nowSecs
          return { outcome: { _tag: "Unchanged" } satisfies PollOutcome, hints: { maxAgeSecs, validForSecs } }
        }
        const { body } = answer
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const list = yield* check({ body, aid: due.aid, now, acceptWrapped })
        if (list.publishedAt < (due.publishedAt ?? 0)) {
          return yield* new ListUnusable({ kind: "rolled_back", reason: "the list is older than the copy" })
        }
        if (due.entriesSha256 === null || Buffer.compare(due.entriesSha256, list.entriesSha256) !== 0) {
          const missing = yield* revocations.missing(due.aid, list.ids)
          // What the issuer has signed is revoked, also when the list as a whole is not taken.
          yield* record(due.aid, list.chunks)
          if (missing > 0) {
            const reason = `the list leaves out ${missing} whose tokens may still be valid`
            if ((due.expiresAt ?? 0) > now) return yield* new ListUnusable({ kind: "shrunk", reason })
            yield* Effect.logWarning(
              `revocation list of ${due.aid} taken in place of one that has expired: ${reason}`
            )
          }
        }
        const received = {
          _tag: "Received",
          body,
          list,
          source: due.uri,
          etag: answer.etag
        } satisfies PollOutcome
        return { outcome: received, hints: { maxAgeSecs, validForSecs: list.expiresAt - now } }
      })

      const refresh = (lease: Lease) => (due: DueList) => {
        const settle = Effect.fnUntraced(function* (outcome: PollOutcome, hints: PollHints) {
          yield* lists.settle(lease, due.aid, outcome, nextPollMs(intervalMs, hints, yield* Random.next))
        })
        return attempt(due).pipe(
          Effect.flatMap(({ hints, outcome }) =>
            Effect.andThen(
              count(outcome._tag === "Received" ? "fetched" : "unchanged"),
              settle(outcome, { failures: 0, ...hints })
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
            Effect.tap(
              Option.match({
                onNone: () => Effect.void,
                onSome: ({ host }) => Effect.sync(() => busy.add(host))
              })
            ),
            Effect.catchCause((cause) =>
              Effect.as(
                Effect.logWarning("look for due revocation lists failed", cause),
                Option.none<DueList>()
              )
            ),
            Effect.tap((due) => (Option.isNone(due) ? Effect.sleep(LOOK_EVERY_MS) : Effect.void))
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
