import { Effect } from "effect"
import type { Examples, Prepared } from "./example.ts"
import { ledgerExamples } from "./examples-ledger.ts"
import { operatorExamples } from "./examples-operator.ts"
import { registryExamples } from "./examples-registry.ts"
import type { Scene } from "./scene.ts"

const examples: Examples = { ...registryExamples, ...ledgerExamples, ...operatorExamples }

/** Keys of the operations that there are examples of. */
export const exampleKeys: ReadonlyArray<string> = Object.keys(examples)

/** Fresh examples of an operation, none of which was sent before. */
export const examplesOf = (key: string, scene: Scene): Prepared => {
  const made = examples[key]?.(scene) ?? []
  return Effect.isEffect(made) ? made : Effect.succeed(made)
}
