import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer } from "effect"
import { App } from "./app.ts"

/** What the error says, or what caused it where it says nothing itself (a taken port). */
const oneLine = ({ cause, message, name }: Error): string =>
  `${name}: ${message === "" && cause instanceof Error ? cause.message : message}`

/** Why the start failed, in one line for what an operator can mend; the whole cause for anything else. */
const report = (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    if (Cause.hasInterruptsOnly(cause)) return
    const [reason, ...more] = cause.reasons
    const failure = reason?._tag === "Fail" && more.length === 0 ? reason.error : undefined
    process.stderr.write(`${failure instanceof Error ? oneLine(failure) : Cause.pretty(cause)}\n`)
  })

NodeRuntime.runMain(Effect.tapCause(Layer.launch(App), report), {
  disableErrorReporting: true,
  // Being told to stop is no failure.
  teardown: (exit, done) => done(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
