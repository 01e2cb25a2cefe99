import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer } from "effect"
import { App } from "./app.ts"

/** Why the start failed, in one line for what an operator can mend; the whole cause for anything else. */
const report = (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    if (Cause.hasInterruptsOnly(cause)) return
    const [reason, ...more] = cause.reasons
    const failure = reason?._tag === "Fail" && more.length === 0 ? reason.error : undefined
    const text = failure instanceof Error ? `${failure.name}: ${failure.message}` : Cause.pretty(cause)
    process.stderr.write(`${text}\n`)
  })

NodeRuntime.runMain(Effect.tapCause(Layer.launch(App), report), {
  disableErrorReporting: true,
  // Being told to stop is no failure.
  teardown: (exit, done) => done(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
