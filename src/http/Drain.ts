import { Context, Duration, Effect, Latch, Layer, Schedule } from "effect"
import { AppConfig } from "../config.ts"

/** A probe must see `shutting_down` before the listener goes away, however idle the service is. */
const MIN_DRAIN = Duration.seconds(2)
const LOOK_AGAIN = Duration.millis(25)
/** Time for the finalizers behind the drain; past it the process exits without them. */
const FINALIZERS_MS = 5000

/** The time between the signal to stop and the exit. */
export class Drain extends Context.Service<
  Drain,
  {
    /** Whether the service is stopping; jobs claim nothing new. */
    readonly active: () => boolean
    /** Resumes when stopping begins; streams end themselves within the window after it. */
    readonly begun: Effect.Effect<void>
    /** Starts stopping; again has no effect. */
    readonly begin: Effect.Effect<void>
    /** A request or stream is being answered; `leave` must follow exactly once. */
    readonly enter: () => void
    readonly leave: () => void
    /** Requests and streams being answered now. */
    readonly running: () => number
  }
>()("cp/http/Drain") {
  static readonly layer = Layer.sync(Drain, () => {
    const latch = Latch.makeUnsafe(false)
    let active = false
    let running = 0
    return Drain.of({
      active: () => active,
      begun: latch.await,
      begin: Effect.suspend(() => {
        active = true
        return latch.open
      }),
      enter: () => void running++,
      leave: () => void running--,
      running: () => running
    })
  })

  /**
   * Holds the end of everything below it until requests have finished: at least two seconds, at most
   * `SHUTDOWN_DRAIN_MS`. Build it last, so that it ends first.
   */
  static readonly layerHold = Layer.effectDiscard(
    Effect.gen(function* () {
      const drain = yield* Drain
      const { drainMs } = (yield* AppConfig).server
      const idle = Effect.repeat(Effect.sync(drain.running), {
        until: (running) => running === 0,
        schedule: Schedule.spaced(LOOK_AGAIN)
      })
      yield* Effect.addFinalizer(() =>
        drain.begin.pipe(
          Effect.andThen(Effect.sleep(MIN_DRAIN)),
          Effect.andThen(idle),
          Effect.timeoutOption(drainMs),
          Effect.andThen(Effect.logInfo("drained").pipe(Effect.annotateLogs("running", drain.running())))
        )
      )
    })
  )

  /** SIGTERM and SIGINT: the first begins the drain at once, the second exits at once, as does a hanging finalizer. */
  static readonly layerSignals = Layer.effectDiscard(
    Effect.gen(function* () {
      const drain = yield* Drain
      const { drainMs } = (yield* AppConfig).server
      const run = Effect.runForkWith(yield* Effect.context<never>())
      let signalled = false
      const onSignal = () => {
        if (signalled) process.exit(1)
        signalled = true
        run(drain.begin)
        setTimeout(() => process.exit(1), drainMs + FINALIZERS_MS).unref()
      }
      process.on("SIGTERM", onSignal).on("SIGINT", onSignal)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => process.off("SIGTERM", onSignal).off("SIGINT", onSignal))
      )
    })
  )
}
