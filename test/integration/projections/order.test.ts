import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { emptied, ProjectedLedger, readItems, report } from "../../support/projections/ledger.ts"
import { expectedState, type StoredReport } from "../../support/projections/model.ts"
import {
  arrivalOf,
  everything,
  type Mix,
  type ReportedItem,
  reportedItems,
  trees
} from "../../support/projections/reports.ts"
import { comparable, storedState } from "../../support/projections/stored.ts"

/** `PROPERTY_SEED` repeats the run whose failure printed it. */
const seed = Number(process.env["PROPERTY_SEED"] ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 40)
const ORDERS = 3

const storedReports = (items: ReadonlyArray<ReportedItem>): ReadonlyArray<StoredReport> =>
  readItems(items).events.flatMap(({ contributions, id, ts }) =>
    contributions === undefined ? [] : [{ id, ts, contributions }]
  )

const scenario = (mix: Mix, maxLength: number) =>
  reportedItems(mix, maxLength).chain((items) =>
    fc.record({
      items: fc.constant(items),
      arrivals: fc.tuple(...Array.from({ length: ORDERS }, () => arrivalOf(items)))
    })
  )

const holds = Effect.fnUntraced(function* (
  items: ReadonlyArray<ReportedItem>,
  arrivals: ReadonlyArray<ReadonlyArray<ReadonlyArray<ReportedItem>>>
) {
  const expected = comparable(expectedState(storedReports(items)))
  for (const requests of arrivals) {
    yield* emptied
    for (const request of requests) yield* report(request)
    assert.deepStrictEqual(yield* storedState, expected)
  }
})

const property = (mix: Mix, maxLength: number, numRuns: number) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Effect.Services<ReturnType<typeof holds>>>()
    const run = Effect.runPromiseWith(context)
    const always = fc.asyncProperty(scenario(mix, maxLength), ({ arrivals, items }) =>
      run(holds(items, arrivals))
    )
    yield* Effect.promise(() => fc.assert(always, { numRuns, seed }))
  })

// Real time: nothing here waits, but a hundred orders take a while.
layer(ProjectedLedger, { timeout: "120 seconds", excludeTestServices: true })(
  `projections, seed ${seed}`,
  (it) => {
    it.effect(
      "are the same for every order, split and repetition of the same events",
      () => property(everything, 60, RUNS),
      120_000
    )

    it.effect(
      "revoke what lies below a revoked delegation, whichever of its parts comes last",
      () => property(trees, 25, 2 * RUNS),
      120_000
    )
  }
)
