import { seeded } from "../support/service/attacks.ts"
import { mutate } from "./mutate.ts"
import type { Target } from "./target.ts"

/** A broken promise, with what repeats it. */
export interface Finding {
  readonly target: string
  readonly seed: number
  /** Shortest input known to fail. */
  readonly input: string
  readonly reason: string
}

export interface Outcome {
  readonly executions: number
  /** Different things that inputs came to. */
  readonly outcomes: number
  readonly finding: Finding | undefined
}

/** When to stop; asked after every few executions. */
export type Until = (executions: number) => boolean

/** Kept inputs beside the seeds; one new outcome each. */
const MAX_KEPT = 512

/** Inputs that are kept for one outcome, so that a common one does not crowd out the others. */
const MAX_PER_OUTCOME = 2

const BETWEEN_LOOKS = 64

const reasonOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

/** Why the target fails on the input; undefined when it does not. */
const failureOf = async ({ run }: Target, input: string): Promise<string | undefined> => {
  try {
    await run(input)
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

/** Leaves out pieces, smaller and smaller, as long as the target still fails. */
const shortened = async (target: Target, input: string): Promise<string> => {
  let shortest = input
  for (let size = Math.ceil(input.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < shortest.length;) {
      const shorter = shortest.slice(0, at) + shortest.slice(at + size)
      if ((await failureOf(target, shorter)) === undefined) at += size
      else shortest = shorter
    }
  }
  return shortest
}

/**
 * Runs a target on its seeds and on mutations of them, guided by outcomes: an input that comes to something new is
 * mutated, too. Ends at the first broken promise.
 */
export const fuzz = async (target: Target, seed: number, until: Until): Promise<Outcome> => {
  const next = seeded(seed)
  const corpus = [...target.seeds]
  const met = new Map<string, number>()
  let executions = 0
  let input = ""
  try {
    for (
      ;
      executions < target.seeds.length || executions % BETWEEN_LOOKS !== 0 || !until(executions);
      executions += 1
    ) {
      input = target.seeds[executions] ?? mutate(next, corpus, target.dictionary)
      const came = target.run(input)
      // Awaiting what is no promise would cost more than most executions.
      const outcome = typeof came === "string" ? came : await came
      const times = met.get(outcome) ?? 0
      if (times < MAX_PER_OUTCOME && corpus.length < target.seeds.length + MAX_KEPT) corpus.push(input)
      met.set(outcome, times + 1)
    }
    return { executions, outcomes: met.size, finding: undefined }
  } catch (error) {
    const shortest = await shortened(target, input)
    const reason = (await failureOf(target, shortest)) ?? reasonOf(error)
    return {
      executions,
      outcomes: met.size,
      finding: { target: target.name, seed, input: shortest, reason }
    }
  }
}
