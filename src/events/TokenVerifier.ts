import { Context, Deferred, Effect, Layer } from "effect"
import { Worker } from "node:worker_threads"
import type { Tokens } from "./tokens.ts"
import { findTokens, isVerified } from "./verification.ts"

/**
 * Signatures checked on the thread that serves requests. A check takes about 0.13 ms, twice that when the key is new:
 * 64 of them, the most that one request can ask for, would hold up everyone else for 8 to 17 ms.
 */
export const MAX_INLINE = 8

/** Texts of tokens for the worker; its answer has one flag for each. */
export interface VerificationJob {
  readonly id: number
  readonly texts: ReadonlyArray<string>
}

export interface VerificationAnswer {
  readonly id: number
  readonly verified: ReadonlyArray<boolean>
}

type Verify = (texts: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<boolean>>

/** A thread that checks signatures. When it dies, what it was asked is checked here, and the next job starts another. */
const makeWorker = Effect.gen(function* () {
  let thread: Worker | undefined
  let jobs = 0
  const pending = new Map<
    number,
    { readonly job: VerificationJob; readonly done: Deferred.Deferred<ReadonlyArray<boolean>> }
  >()

  const settle = ({ id, verified }: VerificationAnswer) => {
    const waiting = pending.get(id)
    pending.delete(id)
    if (waiting !== undefined) Deferred.doneUnsafe(waiting.done, Effect.succeed(verified))
    // An idle worker does not keep the process alive.
    if (pending.size === 0) thread?.unref()
  }

  const start = () => {
    const started = new Worker(new URL("token-worker.ts", import.meta.url))
    const lost = () => {
      if (thread === started) thread = undefined
      for (const { job } of pending.values()) settle({ id: job.id, verified: job.texts.map(isVerified) })
    }
    started.on("message", settle)
    started.on("error", lost)
    started.on("exit", lost)
    return started
  }

  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      thread?.ref()
      await thread?.terminate()
    })
  )

  const verify: Verify = (texts) =>
    Effect.suspend(() => {
      thread ??= start()
      const job: VerificationJob = { id: (jobs += 1), texts }
      const done = Deferred.makeUnsafe<ReadonlyArray<boolean>>()
      pending.set(job.id, { job, done })
      thread.ref()
      thread.postMessage(job)
      return Deferred.await(done)
    })
  return verify
})

const here: Verify = (texts) => Effect.sync(() => texts.map(isVerified))

/** Checks the signatures of compact tokens in reported items, before the append: later the tokens are gone. */
export class TokenVerifier extends Context.Service<
  TokenVerifier,
  {
    /** Finds the tokens of the items and checks up to 64 of them. Never fails, and opens no connection. */
    readonly inspect: (items: ReadonlyArray<unknown>) => Effect.Effect<Tokens>
  }
>()("cp/events/TokenVerifier") {
  static readonly layer: Layer.Layer<TokenVerifier> = Layer.effect(
    TokenVerifier,
    Effect.gen(function* () {
      const elsewhere = yield* makeWorker

      const inspect = Effect.fnUntraced(function* (items: ReadonlyArray<unknown>) {
        const tokens = findTokens(items)
        const texts = tokens.toVerify()
        if (texts.length === 0) return tokens
        const verified = yield* texts.length > MAX_INLINE ? elsewhere(texts) : here(texts)
        for (const [index, text] of texts.entries()) tokens.settle(text, verified[index] === true)
        return tokens
      })
      return { inspect }
    })
  )
}
