import { Effect } from "effect"
import { BenchError } from "./model.ts"

const LOOK_EVERY_MS = 2

/** Waits until it is so; fails after `withinMs`. `what` completes "… did not happen". */
export const until = Effect.fnUntraced(function* (isSo: () => boolean, withinMs: number, what: () => string) {
  const begun = performance.now()
  while (!isSo()) {
    if (performance.now() - begun > withinMs)
      return yield* Effect.fail(new BenchError(`within ${withinMs / 1000} s: ${what()}`))
    yield* Effect.sleep(LOOK_EVERY_MS)
  }
})

/** Calls at a steady rate, each time at its planned instant or, when that has passed, at once; waits for no call. */
export const steadily = Effect.fnUntraced(function* (
  perSecond: number,
  seconds: number,
  call: (index: number) => void
) {
  const begun = performance.now()
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const wait = begun + (index * 1000) / perSecond - performance.now()
    if (wait > 0) yield* Effect.sleep(wait)
    call(index)
  }
})
