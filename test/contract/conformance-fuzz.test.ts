import { describe, layer } from "@effect/vitest"
import { Prepared } from "../support/conformance/Prepared.ts"
import { fuzz, FUZZ_SEED } from "../support/conformance/run-fuzz.ts"
import { isRemote } from "../support/service/Service.ts"

/** A look at every change; the fault suites take four times as many. */
const REQUESTS = Number(process.env["CONFORMANCE_REQUESTS"] ?? 1500)

describe.skipIf(isRemote)("conformance under fuzzing", () => {
  layer(Prepared.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect(
      `answers ${REQUESTS} requests made from the description as documented (seed ${FUZZ_SEED})`,
      () => fuzz(REQUESTS),
      60_000 + REQUESTS * 40
    )
  })
})
