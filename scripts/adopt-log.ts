import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { AppConfig } from "../src/config.ts"
import { Db } from "../src/db/Db.ts"
import { databaseFromConfig } from "../src/embedded/databaseFromConfig.ts"
import { LogLineage } from "../src/events/LogLineage.ts"

/**
 * After a restore or a promotion: gives the ledger of the environment's database a new epoch and binds it to the cluster
 * it is on now. Readers that remember a position of the old epoch are then told so instead of being misled.
 */
const program = Effect.gen(function* () {
  const { adopt } = yield* LogLineage
  yield* Effect.logInfo(`the ledger continues as epoch ${yield* adopt}`)
}).pipe(
  Effect.provide(
    LogLineage.layer.pipe(
      Layer.provide(Db.layer),
      Layer.provide(databaseFromConfig),
      Layer.provide(AppConfig.layer)
    )
  )
)

NodeRuntime.runMain(program)
