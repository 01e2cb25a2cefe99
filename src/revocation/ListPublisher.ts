import { createHash } from "node:crypto"
import { Context, Duration, Effect, Exit, Fiber, Layer, Metric, Option, Schedule } from "effect"
import { AppConfig } from "../config.ts"
import { everyInterval } from "../jobs/loop.ts"
import { compressed } from "./compression.ts"
import { compareEntries, type Difference, entriesOf, innerText } from "./list-text.ts"
import { ListAnnouncer } from "./ListAnnouncer.ts"
import { ListRefused, type ListSnapshot } from "./model.ts"
import { type Claim, CLAIM_MS, type Need, PublicationClaims } from "./PublicationClaims.ts"
import { RevocationEntries } from "./RevocationEntries.ts"
import { RevocationList } from "./RevocationList.ts"
import { type NewVersion, type ReadEntries, RevocationLists } from "./RevocationLists.ts"
import { RevocationSigner, sha256 } from "./RevocationSigner.ts"
import { singleFlight } from "./single-flight.ts"

/** A version this old is signed anew, s: agents refuse lists that are old, and none that is served may be 60 s old. */
const MAX_AGE_SECS = 45
/** How often each replica looks whether there is something to publish, ms. */
const LOOK_MS = 2000
/** How long a revocation waits for the version that names it, ms. */
const PATIENCE_MS = 3000
/** How often the end of somebody else's publication is looked for, ms. */
const POLL_MS = 25
/** Pause of a waiting request after a publication failed, ms. */
const RETRY_MS = 500
/** Pause after a list was refused, ms: the same would be refused again. */
const REFUSED_MS = 30_000

/** A wait above this is not the pause between two versions, s. */
const CLOCK_STEP_SECS = 5

const NONE = new Uint8Array(0)

const refusals = Metric.counter("revocation_list_guard_refusals_total", {
  description: "Lists that were not published because they lacked an entry they must have.",
  incremental: true
})

const refuse = (message: string) => new ListRefused({ message })

/**
 * Publishes the signed list. Whoever needs a new version claims the right to make it, reads, signs and compresses outside
 * of every transaction, and stores the result if the claim still holds; all others wait for that version or make the next.
 */
export class ListPublisher extends Context.Service<
  ListPublisher,
  {
    /**
     * Waits, at most 3 s, until the entry with this id is published and served by this replica; the first version that knows
     * it, or null when there is none yet. Publishes itself if nobody else does.
     */
    readonly covering: (jti: string) => Effect.Effect<number | null>
    /** At the start: publishes if there is no list, if the newest one was made from another configuration, or if it is due. */
    readonly ensure: Effect.Effect<void>
    /** Publishes if the newest list is too old or does not know all entries. */
    readonly runOnce: Effect.Effect<void>
  }
>()("cp/revocation/ListPublisher") {
  static readonly layer = Layer.effect(
    ListPublisher,
    Effect.gen(function* () {
      const announcer = yield* ListAnnouncer
      const claims = yield* PublicationClaims
      const entries = yield* RevocationEntries
      const list = yield* RevocationList
      const lists = yield* RevocationLists
      const signer = yield* RevocationSigner
      const { revocation } = yield* AppConfig
      const { listProfile, listTtlSecs, signingForm } = revocation
      const inputHash = createHash("sha256")
        .update(JSON.stringify([signer.issuer, listProfile, listTtlSecs, signingForm]))
        .digest()
      yield* Metric.update(refusals, 0)

      /** The entries as the newest version has them, whatever the entries themselves say now. */
      const entriesBefore = Effect.fnUntraced(function* (claim: Claim) {
        const { version } = claim
        if (version === 0) return NONE
        const snapshot = yield* list.copyOf(claim)
        const found = Option.isSome(snapshot) ? entriesOf(snapshot.value.body) : undefined
        return found ?? (yield* refuse(`version ${version}, which it would follow, cannot be read`))
      })

      /** Nothing may leave the list but what may be dropped. The strict profile's list names nothing at all. */
      const guard = Effect.fnUntraced(function* (read: ReadEntries, difference: Difference) {
        if (difference.count !== read.count) {
          return yield* refuse(`${read.count} entries were read, ${difference.count} would be listed`)
        }
        if (listProfile === "strict" || difference.removed.length === 0) return
        const droppable = yield* lists.droppable(difference.removed, read.readAt)
        const missing = difference.removed.filter((jti) => !droppable.has(jti))
        if (missing.length > 0)
          return yield* refuse(`${missing.length} entries would leave it, such as ${missing[0]}`)
      })

      const make = Effect.fnUntraced(function* (claim: Claim) {
        const all = yield* lists.readEntries
        const read = listProfile === "strict" ? { ...all, text: NONE, count: 0 } : all
        const difference = yield* compareEntries(yield* entriesBefore(claim), read.text)
        yield* guard(read, difference)
        const { publishedAt } = claim
        const expiresAt = publishedAt + listTtlSecs
        const body = yield* signer.signList(
          innerText(read.text, { issuer: signer.issuer, publishedAt, expiresAt })
        )
        const [digest, forms] = yield* Effect.all([sha256(body), compressed(body)], {
          concurrency: "unbounded"
        })
        return {
          publishedAt,
          expiresAt,
          entries: read.count,
          coversSeq: read.coversSeq,
          sha256: digest,
          body,
          ...forms,
          added: difference.added,
          removed: difference.removed,
          inputHash
        } satisfies NewVersion
      })

      /** Ends when the claim is lost. */
      const keep = (claim: Claim) =>
        Effect.repeat(claims.renew(claim), {
          schedule: Schedule.spaced(Duration.millis(CLAIM_MS / 3)),
          while: (renewed) => renewed
        })

      const publishUnder = Effect.fn("ListPublisher.publish")(function* (claim: Claim) {
        const next = yield* Effect.raceFirst(
          make(claim),
          Effect.andThen(keep(claim), Effect.die(new Error("the right to publish was lost meanwhile")))
        )
        if (!(yield* lists.publish(claim, next))) {
          yield* Effect.logInfo("a revocation list was made too late; somebody else publishes")
          return
        }
        const { added, inputHash: _, removed, ...rest } = next
        const changed = added.length + removed.length > 0
        list.accept({ ...rest, version: claim.version + 1, changed } satisfies ListSnapshot)
        if (changed) announcer.start()
      })

      /** One publication, by whomever; done when there is no need of one. */
      const attempt = Effect.fnUntraced(function* (need: Need) {
        const giveUpAt = performance.now() + PATIENCE_MS
        for (;;) {
          const claim = yield* claims.claim(need)
          if (!("_tag" in claim)) {
            return yield* publishUnder(claim).pipe(
              Effect.onExit((exit) =>
                Exit.isSuccess(exit) ? Effect.void : Effect.ignoreCause(claims.release(claim))
              )
            )
          }
          if (claim._tag === "current" || performance.now() >= giveUpAt) return
          if (claim._tag === "early" && claim.waitSecs > CLOCK_STEP_SECS) {
            yield* Effect.logWarning(
              `the database's clock was set back: no revocation list can be published for ${Math.ceil(claim.waitSecs)} s`
            )
          }
          yield* Effect.sleep(
            claim._tag === "early" ? Math.min(Math.ceil(claim.waitSecs * 1000), PATIENCE_MS) : POLL_MS
          )
        }
      })

      let refusedAt = Number.NEGATIVE_INFINITY
      const publish = (need: Need) =>
        Effect.catchTag(attempt(need), "ListRefused", ({ message }) => {
          refusedAt = performance.now()
          return Effect.andThen(
            Metric.update(refusals, 1),
            Effect.logError(`the revocation list was not published: ${message}`)
          )
        })

      const flight = yield* singleFlight(publish({ maxAgeSecs: MAX_AGE_SECS, inputHash: undefined }))
      const wasRefused = () => performance.now() - refusedAt < REFUSED_MS

      const covering = Effect.fn("ListPublisher.covering")(function* (jti: string) {
        const published = Effect.gen(function* () {
          for (;;) {
            const version = yield* entries.listVersionOf(jti)
            if (version !== null) {
              yield* list.reach(version)
              return version
            }
            const failed = wasRefused() || Exit.isFailure(yield* Fiber.await(flight.start()))
            if (failed) yield* Effect.sleep(RETRY_MS)
          }
        })
        // What was revoked is committed whatever becomes of the list. A fiber of its own, because a statement that is
        // interrupted waits for a server that hangs.
        return yield* Effect.acquireUseRelease(
          Effect.forkDetach(published),
          (waiting) => Effect.timeoutOption(Fiber.join(waiting), PATIENCE_MS),
          (waiting) => Effect.sync(() => waiting.interruptUnsafe())
        ).pipe(
          Effect.map(Option.getOrNull),
          Effect.catchCause((cause) =>
            Effect.as(Effect.logWarning("the publication of a revocation cannot be confirmed", cause), null)
          )
        )
      })

      const ensure = publish({ maxAgeSecs: MAX_AGE_SECS, inputHash }).pipe(
        Effect.catchCause((cause) =>
          Effect.logWarning("the revocation list could not be published at the start", cause)
        ),
        Effect.andThen(list.refresh)
      )

      const runOnce = Effect.suspend(() => (wasRefused() ? Effect.void : Fiber.join(flight.start())))

      return { covering, ensure, runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* ListPublisher
      yield* everyInterval("publication of the revocation list", LOOK_MS, runOnce)
    })
  )
}
