import { Effect, Fiber } from "effect"

/**
 * Starts an effect unless it is running, and gives the fiber that runs it. It goes on when who asked for it goes away, and
 * ends with the scope. May be called from code that is no effect.
 */
export const singleFlight = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const context = yield* Effect.context<R>()
  let running: Fiber.Fiber<A, E> | undefined
  let closed = false
  yield* Effect.addFinalizer(() => {
    closed = true
    return running === undefined ? Effect.void : Fiber.interrupt(running)
  })
  const run = Effect.suspend(() => (closed ? Effect.interrupt : effect))
  return {
    start: (): Fiber.Fiber<A, E> => {
      if (running !== undefined) return running
      const fiber = Effect.runForkWith(context)(run)
      running = fiber
      fiber.addObserver(() => void (running = undefined))
      return fiber
    },
    isRunning: () => running !== undefined
  }
})
