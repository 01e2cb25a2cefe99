import { Context, Effect, Layer, Option } from "effect"
import type { SqlError } from "effect/sql"
import { parseTreeHead } from "../client/log-checkpoint.ts"
import { parseNote } from "../client/log-note.ts"
import { briefly } from "../ops/memo.ts"
import { LogTrees } from "./LogTrees.ts"
import type { Lineage, PublishedCheckpoint, TreeHead } from "./model.ts"

/** The checkpoint that is served, taken apart. */
export interface ServedCheckpoint extends PublishedCheckpoint, TreeHead {
  readonly lineage: Lineage
}

/** How long a replica serves what it has read, ms. */
const MEMO_MS = 250
/** Longest wait for an event to be taken into the log, ms. */
const PATIENCE_MS = 3000
const LOOK_EVERY_MS = 100

/** The served checkpoint, as every replica sees it. */
export class Checkpoints extends Context.Service<
  Checkpoints,
  {
    /** At most 250 ms old; none before the first. */
    readonly current: Effect.Effect<Option.Option<ServedCheckpoint>>
    /** One of at least so many leaves, read anew if need be; none when there is none yet. */
    readonly atLeast: (size: number) => Effect.Effect<Option.Option<ServedCheckpoint>>
    /** The same, after a wait of up to three seconds: what was just stored is about to be taken in. */
    readonly awaited: (size: number) => Effect.Effect<Option.Option<ServedCheckpoint>>
  }
>()("cp/log/Checkpoints") {
  static readonly layer = Layer.effect(
    Checkpoints,
    Effect.gen(function* () {
      const trees = yield* LogTrees
      let known: ServedCheckpoint | undefined

      const read: Effect.Effect<Option.Option<ServedCheckpoint>, SqlError.SqlError> = Effect.map(
        trees.read,
        ({ lineage, published }) => {
          if (published === null) return Option.none()
          if (known?.note !== published.note) {
            const { root, size } = parseTreeHead(parseNote(published.note).text)
            known = { ...published, size, root, lineage }
          }
          return Option.some(known)
        }
      )
      const recent = Effect.orDie(briefly(read, MEMO_MS))
      // Shared by all who wait.
      const watched = Effect.orDie(briefly(read, LOOK_EVERY_MS))
      const covers = (size: number) => Option.filter<ServedCheckpoint>((served) => served.size >= size)

      const atLeast = Effect.fnUntraced(function* (size: number) {
        const served = covers(size)(yield* recent)
        return Option.isSome(served) ? served : covers(size)(yield* Effect.orDie(read))
      })

      const awaited = Effect.fn("Checkpoints.awaited")(function* (size: number) {
        const until = performance.now() + PATIENCE_MS
        let served = yield* atLeast(size)
        while (Option.isNone(served) && performance.now() < until) {
          yield* Effect.sleep(LOOK_EVERY_MS)
          served = covers(size)(yield* watched)
        }
        return served
      })

      return { atLeast, awaited, current: recent }
    })
  )
}
