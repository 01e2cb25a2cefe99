import { Context, Effect, Layer } from "effect"
import { ownService } from "../service/Service.ts"
import { describedService } from "./description.ts"
import { judgeBy } from "./judge.ts"
import { makeScene, sceneSettings } from "./scene.ts"
import { schemasOf } from "./schemas.ts"

/** Reads the description of the service, and makes a scene in it. */
export const prepare = Effect.gen(function* () {
  const { description, operations } = yield* describedService
  const schemaAt = schemasOf(description)
  return { description, operations, schemaAt, judge: judgeBy(schemaAt), scene: yield* makeScene }
})

/** What a suite knows of its service, and has made in it. */
export class Prepared extends Context.Service<Prepared, Effect.Success<typeof prepare>>()(
  "cp/test/conformance/Prepared"
) {
  static readonly layer = Layer.effect(Prepared, prepare).pipe(
    Layer.provideMerge(ownService(sceneSettings)),
    Layer.orDie
  )
}
