import { Effect } from "effect"
import type { Answer } from "../service/client.ts"
import { type Operation, successesOf } from "./description.ts"
import { callOf } from "./example.ts"
import { examplesOf } from "./examples.ts"
import type { Prepared } from "./Prepared.ts"
import { CONCURRENCY, tried } from "./run.ts"

/** Sends every example of every operation and says what is wrong with the answers; `see` is shown each of them. */
export const triedExamples = (
  { judge, operations, scene }: Prepared["Service"],
  see: (operation: Operation, answer: Answer) => void = () => {}
) =>
  Effect.map(
    Effect.forEach(
      operations,
      (operation) =>
        Effect.flatMap(examplesOf(operation.key, scene), (examples) =>
          Effect.forEach(examples, (example, index) => {
            const wanted = example.status === undefined ? successesOf(operation) : [example.status]
            return tried(callOf(operation, example, `example ${index}`), judge, (answer) => {
              see(operation, answer)
              const { status } = answer
              return wanted.includes(status) ? [] : [`answers ${status}, not ${wanted.join(" or ")}`]
            })
          })
        ),
      { concurrency: CONCURRENCY }
    ),
    (findings) => findings.flat(2)
  )
