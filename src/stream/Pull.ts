import { Context, Effect, Layer } from "effect"
import { renderEvent } from "../events/render.ts"
import { Drain } from "../http/Drain.ts"
import { AuditBus } from "./AuditBus.ts"
import { LedgerPages, type LedgerRow } from "./LedgerPages.ts"
import { type Selection, selects } from "./selection.ts"
import type { Follower } from "./Tail.ts"

/** Positions looked through by one statement, and statements of one pull: a filter that finds little goes on later. */
const WINDOW = 10_000
const MAX_WINDOWS = 20

/** What a pull found. */
export interface Pulled {
  /** JSON texts, in order. */
  readonly events: ReadonlyArray<string>
  /** Everything selected up to here has been pulled. */
  readonly next: number
  readonly more: boolean
}

/** Reads events after a position, and waits for the first one when there is none. */
export class Pull extends Context.Service<
  Pull,
  {
    /** @param waitMs longest wait; it ends with the first event, and when the service stops */
    readonly pull: (
      selection: Selection,
      after: number,
      limit: number,
      waitMs: number
    ) => Effect.Effect<Pulled>
  }
>()("cp/stream/Pull") {
  static readonly layer = Layer.effect(
    Pull,
    Effect.gen(function* () {
      const { tail } = yield* AuditBus
      const drain = yield* Drain
      const pages = yield* LedgerPages

      const nothingInMemory = (selection: Selection, after: number): boolean =>
        tail.framesAfter(after, Number.POSITIVE_INFINITY)?.every((frame) => !selects(selection, frame)) ??
        after >= tail.extent.head

      const find = Effect.fnUntraced(function* (selection: Selection, after: number, limit: number) {
        const { head } = tail.extent
        if (nothingInMemory(selection, after)) return { events: [], next: head, more: false }
        const found: Array<LedgerRow> = []
        let scanned = after
        for (
          let windows = 0;
          windows < MAX_WINDOWS && scanned < head && found.length <= limit;
          windows += 1
        ) {
          const upTo = Math.min(head, scanned + WINDOW)
          found.push(
            ...(yield* pages.select(selection, { after: scanned, upTo, limit: limit + 1 - found.length }))
          )
          scanned = upTo
        }
        const page = found.slice(0, limit)
        const cut = found.length > limit
        return {
          events: page.map(renderEvent),
          next: cut ? (page.at(-1)?.seq ?? after) : scanned,
          more: cut || scanned < head
        }
      })

      /** Until something selected comes after the position, which was the end of the ledger. */
      const somethingAfter = (selection: Selection, position: number) =>
        Effect.callback<void>((resume) => {
          if (tail.extent.head > position) return resume(Effect.void)
          const arrived = () => resume(Effect.void)
          const follower: Follower = { offer: arrived, restarted: arrived }
          const attachment = tail.attach(selection, follower)
          return Effect.sync(() => tail.detach(attachment, follower))
        })

      const pull = Effect.fn("Pull.pull")(function* (
        selection: Selection,
        after: number,
        limit: number,
        waitMs: number
      ) {
        const deadline = performance.now() + waitMs
        let result = yield* find(selection, after, limit)
        while (result.events.length === 0 && !result.more && !drain.active()) {
          const left = deadline - performance.now()
          if (left <= 0) break
          yield* somethingAfter(selection, result.next).pipe(
            Effect.raceFirst(drain.begun),
            Effect.timeoutOption(left)
          )
          result = yield* find(selection, result.next, limit)
        }
        return result
      }, Effect.orDie)

      return { pull }
    })
  )
}
