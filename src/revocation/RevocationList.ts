import { Context, Effect, Fiber, Layer, Option } from "effect"
import { AppConfig } from "../config.ts"
import { everyInterval } from "../jobs/loop.ts"
import { type ListSnapshot, ListUnavailable } from "./model.ts"
import type { Claim } from "./PublicationClaims.ts"
import { RevocationLists } from "./RevocationLists.ts"
import { sha256 } from "./RevocationSigner.ts"
import { singleFlight } from "./single-flight.ts"

/** How old the knowledge that the copy is the newest version may be, ms; from `REFRESH_MS` on it is renewed meanwhile. */
const MEMO_MS = 250
const REFRESH_MS = 150
/** How often a newer version is looked for while nobody asks, ms. */
const LOOK_MS = 2000
/** How long a request waits for the database before it is answered as while the database is away, ms. */
const PATIENCE_MS = 2000
/** How long the database counts as away after it failed, ms; then a request waits for it again. */
const AWAY_MS = 1000

const answer = (snapshot: ListSnapshot | undefined) =>
  snapshot === undefined ? Effect.fail(new ListUnavailable()) : Effect.succeed(snapshot)

type Named = Pick<Claim, "version" | "sha256">

/** The signed list as this replica serves it: a copy of the newest version, compared with the database as it is asked for. */
export class RevocationList extends Context.Service<
  RevocationList,
  {
    /**
     * The list to serve: the newest version as of 250 ms ago or later. While the database does not answer, the last copy,
     * for as long as the configuration allows; never one that has expired, nor one known not to be the newest.
     */
    readonly current: Effect.Effect<ListSnapshot, ListUnavailable>
    /** The same without waiting; undefined when that cannot be decided at once, or when there is none. */
    readonly immediate: () => ListSnapshot | undefined
    /** The version with this number and digest, from the database unless it is the copy; none when it cannot be had. */
    readonly copyOf: (list: Named) => Effect.Effect<Option.Option<ListSnapshot>>
    /** Takes a version that was published here. */
    readonly accept: (snapshot: ListSnapshot) => void
    /** Looks for a newer version, so that there is a copy of it when the database goes away. Never fails. */
    readonly refresh: Effect.Effect<void>
    /** Waits until the copy is this version or a newer one, or until it could not be had. */
    readonly reach: (version: number) => Effect.Effect<void>
  }
>()("cp/revocation/RevocationList") {
  static readonly layer = Layer.effect(
    RevocationList,
    Effect.gen(function* () {
      const lists = yield* RevocationLists
      const { failMode, listTtlSecs, maxStalenessSecs } = (yield* AppConfig).revocation
      const staleAfterSecs = Math.min(maxStalenessSecs ?? listTtlSecs, listTtlSecs)

      let held: ListSnapshot | undefined
      /** The database has named another list than the copy, which could not be had. */
      let isBehind = false
      /** On the clock of `performance.now`: when the copy was taken, last known to be the newest, and last not found out. */
      let takenAt = Number.NEGATIVE_INFINITY
      let confirmedAt = Number.NEGATIVE_INFINITY
      let failedAt = Number.NEGATIVE_INFINITY

      const confirm = (at: number) => {
        isBehind = false
        confirmedAt = Math.max(confirmedAt, at)
        failedAt = Number.NEGATIVE_INFINITY
      }

      const take = (snapshot: ListSnapshot | undefined, at: number) => {
        held = snapshot
        takenAt = at
        confirm(at)
      }

      const isHeld = (list: Named): boolean =>
        held !== undefined &&
        held.version === list.version &&
        list.sha256 !== null &&
        Buffer.compare(held.sha256, list.sha256) === 0

      const copyOf = Effect.fnUntraced(function* (list: Named) {
        if (isHeld(list)) return Option.fromUndefinedOr(held)
        const loaded = yield* lists.load(list.version)
        if (Option.isNone(loaded)) return loaded
        const digest = yield* sha256(loaded.value.body)
        if (Buffer.compare(digest, loaded.value.sha256) === 0) return loaded
        yield* Effect.logError(
          `version ${list.version} of the revocation list does not have its stored digest`
        )
        return Option.none()
      })

      /** Whether a newer list than the database said has been published here since it was asked. */
      const isOvertaken = (askedAt: number, said: { readonly version: number } | undefined): boolean =>
        takenAt > askedAt && held !== undefined && held.version > (said?.version ?? 0)

      const look = Effect.gen(function* () {
        const askedAt = performance.now()
        const newest = Option.getOrUndefined(yield* lists.newest)
        if (isOvertaken(askedAt, newest) || (newest !== undefined && isHeld(newest))) return confirm(askedAt)
        if (newest === undefined) return take(undefined, askedAt)
        isBehind = true
        const loaded = yield* copyOf(newest)
        if (isOvertaken(askedAt, newest)) return confirm(askedAt)
        if (Option.isSome(loaded)) return take(loaded.value, askedAt)
        failedAt = performance.now()
      }).pipe(
        Effect.catchCause((cause) => {
          failedAt = performance.now()
          return Effect.logDebug("the newest revocation list could not be looked up", cause)
        }),
        Effect.withSpan("RevocationList.look")
      )
      const flight = yield* singleFlight(look)

      /** Whether the database counts as away: it failed just now, or leaves us waiting since it failed. */
      const isAway = (now: number) =>
        failedAt > confirmedAt && (flight.isRunning() || now - failedAt <= AWAY_MS)

      const isServable = ({ expiresAt, publishedAt }: ListSnapshot, now: number): boolean => {
        const nowSecs = Date.now() / 1000
        if (nowSecs >= expiresAt) return false
        if (!isAway(now)) return true
        return failMode === "serve_stale" && !isBehind && nowSecs < publishedAt + staleAfterSecs
      }

      /** The copy if it may be served, `wait` when the database must be asked first. */
      const judge = (): ListSnapshot | undefined | "wait" => {
        const now = performance.now()
        const age = now - confirmedAt
        const away = isAway(now)
        if (age > REFRESH_MS && (!away || now - failedAt > MEMO_MS)) flight.start()
        if (age > MEMO_MS && !away) return "wait"
        return held !== undefined && isServable(held, now) ? held : undefined
      }

      const current = Effect.suspend(() => {
        const known = judge()
        if (known !== "wait") return answer(known)
        return Fiber.await(flight.start()).pipe(
          Effect.timeoutOption(PATIENCE_MS),
          Effect.flatMap((ended) => {
            if (Option.isNone(ended)) failedAt = performance.now()
            const now = performance.now()
            return answer(held !== undefined && isServable(held, now) ? held : undefined)
          })
        )
      }).pipe(Effect.withSpan("RevocationList.current"))

      const refresh = Effect.suspend(() => Effect.asVoid(Fiber.await(flight.start())))

      // A look that is under way may have been too early.
      const reach = (version: number) =>
        Effect.suspend(() => ((held?.version ?? 0) < version ? refresh : Effect.void)).pipe(
          Effect.repeat({ times: 1 }),
          Effect.asVoid
        )

      return {
        current,
        immediate: () => {
          const known = judge()
          return known === "wait" ? undefined : known
        },
        copyOf,
        accept: (snapshot) => {
          if (snapshot.publishedAt > (held?.publishedAt ?? 0)) take(snapshot, performance.now())
        },
        refresh,
        reach
      }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { refresh } = yield* RevocationList
      yield* everyInterval("copy of the revocation list", LOOK_MS, refresh)
    })
  )
}
