import { Effect } from "effect"
import { fuzzedCalls, seedsOf } from "./fuzz.ts"
import { Prepared } from "./Prepared.ts"
import { assertNoErrorLogged, assertNothingFound, CONCURRENCY, type Finding, tried } from "./run.ts"

/** Requests between two looks for what they have spent. */
const ROUND = 500

/** Where the requests of a run come from; set to repeat one that failed, or for another. */
export const FUZZ_SEED = Number(process.env["CONFORMANCE_SEED"] ?? 20_260_102)

/**
 * Sends so many requests made from the description of the service. Each must be answered as documented, and none may be
 * an error in the service's log.
 */
export const fuzz = Effect.fnUntraced(function* (requests: number) {
  const { description, judge, operations, scene } = yield* Prepared
  const findings: Array<Finding> = []
  for (let sent = 0; sent < requests; sent += ROUND) {
    const seeds = yield* seedsOf(operations, scene)
    const calls = fuzzedCalls(description, seeds, Math.min(ROUND, requests - sent), FUZZ_SEED + sent)
    const found = yield* Effect.forEach(calls, (call) => tried(call, judge), { concurrency: CONCURRENCY })
    findings.push(...found.flat())
  }
  yield* assertNoErrorLogged
  assertNothingFound(findings)
})
