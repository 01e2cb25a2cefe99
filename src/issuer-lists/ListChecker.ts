import { Worker } from "node:worker_threads"
import { Context, Effect, Layer, Semaphore } from "effect"
import { checkList, type ListCheck, type Verdict } from "./list-check.ts"
import { ListUnusable, type SoundList } from "./model.ts"

/** Bytes that are checked on the thread that serves requests, in 5 to 10 ms. */
const MAX_INLINE_BYTES = 32_768

/** Far above what a list of the greatest size takes. */
const TIMEOUT_MS = 30_000
const MAX_HEAP_MB = 512

const unchecked = (reason: string) => new ListUnusable({ kind: "invalid", reason })

/** A thread that checks one list at a time. It ends with a list that is too much for it, and the next one starts another. */
const makeThread = Effect.gen(function* () {
  let thread: Worker | undefined
  const oneAtATime = (yield* Semaphore.make(1)).withPermits(1)

  const start = () => {
    const started = new Worker(new URL("list-check-worker.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB }
    })
    started.on("error", () => {}) // its end is what counts
    started.on("exit", () => {
      if (thread === started) thread = undefined
    })
    return started
  }

  const end = Effect.promise(async () => {
    thread?.ref()
    await thread?.terminate()
  })
  yield* Effect.addFinalizer(() => end)

  const check = (given: ListCheck) =>
    Effect.callback<Verdict, ListUnusable>((resume) => {
      thread ??= start()
      const asked = thread
      const settle = (outcome: Effect.Effect<Verdict, ListUnusable>) => {
        asked.removeAllListeners("message")
        asked.off("exit", lost)
        // An idle thread does not keep the process alive.
        asked.unref()
        resume(outcome)
      }
      const lost = () => settle(Effect.fail(unchecked("the list takes more memory to check than it may")))
      asked.on("message", (verdict: Verdict) => settle(Effect.succeed(verdict)))
      asked.on("exit", lost)
      asked.ref()
      asked.postMessage(given)
      return end
    }).pipe(
      Effect.timeoutOrElse({
        duration: TIMEOUT_MS,
        orElse: () => Effect.fail(unchecked("the list takes too long to check"))
      })
    )
  return (given: ListCheck) => oneAtATime(check(given))
})

const here = (given: ListCheck) => Effect.sync(() => checkList(given))

/** Checks lists, large ones off the event loop. */
export class ListChecker extends Context.Service<
  ListChecker,
  { readonly check: (check: ListCheck) => Effect.Effect<SoundList, ListUnusable> }
>()("cp/issuer-lists/ListChecker") {
  static readonly layer = Layer.effect(
    ListChecker,
    Effect.gen(function* () {
      const elsewhere = yield* makeThread

      const check = Effect.fn("ListChecker.check")(function* (given: ListCheck) {
        const verdict = yield* given.body.length > MAX_INLINE_BYTES ? elsewhere(given) : here(given)
        if (verdict._tag === "Sound") return verdict
        return yield* new ListUnusable({ kind: verdict.kind, reason: verdict.reason })
      })
      return { check }
    })
  )
}
