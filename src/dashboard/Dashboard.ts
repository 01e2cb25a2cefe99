import { Context, Effect, Layer } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { type AgentActivity, type Overview, type Range, ranges } from "./model.ts"
import { activityStatement, overviewStatement } from "./statements.ts"

/** Read model of the console's dashboard; every number is counted when it is asked for. */
export class Dashboard extends Context.Service<
  Dashboard,
  {
    readonly overview: (range: Range, visibility: Visibility) => Effect.Effect<Overview>
    /** One for each of the given agents, in their order. */
    readonly activity: (
      aids: ReadonlyArray<string>,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<AgentActivity>>
  }
>()("cp/dashboard/Dashboard") {
  static readonly layer = Layer.effect(
    Dashboard,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const overview = Effect.fn("Dashboard.overview")(function* (range: Range, visibility: Visibility) {
        const [row] = yield* overviewStatement(sql, ranges[range], visibility)
        return row ?? (yield* Effect.die(new Error("the overview gave no row")))
      }, Effect.orDie)

      const activity = Effect.fn("Dashboard.activity")(function* (
        aids: ReadonlyArray<string>,
        visibility: Visibility
      ) {
        return aids.length === 0 ? [] : yield* activityStatement(sql, textArray(aids), visibility)
      }, Effect.orDie)

      return { overview, activity }
    })
  )
}
