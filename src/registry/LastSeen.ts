import { Context, Duration, Effect, Layer } from "effect"
import { keyOfAid, parseAid } from "../aitp/aid.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import { BackgroundDb } from "../db/Db.ts"
import { everyInterval } from "../jobs/loop.ts"

/** Pause between two writes; what it holds back is lost in a crash, which costs an indication, not a record. */
const FLUSH_MS = 10_000
/** AIDs remembered between two writes; further ones wait for the next time they are seen. */
const MAX_PENDING = 100_000

/** When registered agents were last named by an event: gathered in memory, written apart from every other transaction. */
export class LastSeen extends Context.Service<
  LastSeen,
  {
    /** @param at ms since 1970 */
    readonly note: (aids: ReadonlyArray<string | null>, at: number) => void
    /** Writes what was noted. AIDs in either spelling count; those nobody registered are left out. */
    readonly flush: Effect.Effect<void>
  }
>()("cp/registry/LastSeen") {
  static readonly layer = Layer.effect(
    LastSeen,
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      let pending = new Map<string, number>()

      const note = (aids: ReadonlyArray<string | null>, at: number) => {
        for (const aid of aids) {
          if (aid !== null && (pending.has(aid) || pending.size < MAX_PENDING)) {
            pending.set(aid, Math.max(at, pending.get(aid) ?? 0))
          }
        }
      }

      const flush = Effect.gen(function* () {
        const seen = [...pending].flatMap(([text, at]) => {
          const aid = parseAid(text)
          return aid === undefined ? [] : [{ key: keyOfAid(aid), at }]
        })
        pending = new Map()
        if (seen.length === 0) return
        // Sorted, so that replicas that flush at once cannot block each other in a circle.
        yield* sql`
          insert into agent_last_seen as s (aid, last_seen_at)
          select a.aid, max(t.at)
          from unnest(
            ${textArray(seen.map(({ key }) => key.alg))}::text[],
            ${byteaArray(seen.map(({ key }) => key.raw))}::bytea[],
            ${textArray(seen.map(({ at }) => new Date(at).toISOString()))}::timestamptz[]) as t (alg, raw, at)
          join agents a on a.key_alg = t.alg and a.key_raw = t.raw
          group by a.aid
          order by a.aid
          on conflict (aid) do update set last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)`
      }).pipe(Effect.withSpan("LastSeen.flush"), Effect.orDie)

      return { flush, note }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { flush } = yield* LastSeen
      yield* Effect.addFinalizer(() => Effect.ignoreCause(Effect.timeout(flush, Duration.seconds(1))))
      yield* everyInterval("last-seen flush", FLUSH_MS, flush)
    })
  )
}
