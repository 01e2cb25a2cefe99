import { layer } from "@effect/vitest"
import { Prepared } from "../support/conformance/Prepared.ts"
import { fuzz, FUZZ_SEED } from "../support/conformance/run-fuzz.ts"

const REQUESTS = 6000

layer(Prepared.layer, { timeout: "60 seconds", excludeTestServices: true })("under fuzzing", (it) => {
  it.effect(
    `the service answers ${REQUESTS} requests made from its description as documented (seed ${FUZZ_SEED})`,
    () => fuzz(REQUESTS),
    300_000
  )
})
