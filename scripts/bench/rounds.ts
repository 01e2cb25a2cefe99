import { Effect } from "effect"
import { fire, type Load, warm } from "./load.ts"
import { Rig } from "./Rig.ts"
import { median, merged, type Timings } from "./statistics.ts"

/** Rounds of a comparison; the sides take turns, so that what disturbs the machine disturbs all of them. */
export const ROUNDS = 3

/** Rates of several sides, in 1/s, of the rounds in order. */
export class Rates<Side extends string> {
  readonly #rounds: ReadonlyArray<Readonly<Record<Side, number>>>

  constructor(rounds: ReadonlyArray<Readonly<Record<Side, number>>>) {
    this.#rounds = rounds
  }

  /** The median over the rounds. */
  of(side: Side): number {
    return median(this.#rounds.map((round) => round[side]))
  }

  /** The median of each round's own ratio. */
  ratio(side: Side, to: Side): number {
    return median(this.#rounds.map((round) => round[side] / round[to]))
  }
}

export interface Compared<Side extends string> {
  readonly rates: Rates<Side>
  readonly timings: Readonly<Record<Side, Timings>>
}

/** Loads several servers in turns, each for the length of a measurement in each round, after a warm-up of each. */
export const compare = Effect.fnUntraced(function* <Side extends string>(
  loads: Readonly<Record<Side, Omit<Load, "seconds">>>
) {
  const { note, seconds } = yield* Rig
  const sides = Object.keys(loads) as Array<Side> // exactly its keys
  for (const side of sides) yield* warm({ ...loads[side], seconds })
  const rounds: Array<Record<Side, number>> = []
  const timings = Object.fromEntries(sides.map((side) => [side, [] as Array<Timings>])) as Record<
    Side,
    Array<Timings>
  >
  for (let round = 1; round <= ROUNDS; round += 1) {
    const rates = {} as Record<Side, number> // filled below
    for (const side of sides) {
      note(`${side}, round ${round} of ${ROUNDS}`)
      const loaded = yield* fire({ ...loads[side], seconds })
      rates[side] = loaded.perSecond
      timings[side].push(loaded.timings)
    }
    rounds.push(rates)
  }
  const all = Object.fromEntries(sides.map((side) => [side, merged(timings[side])])) as Record<Side, Timings>
  const compared: Compared<Side> = { rates: new Rates(rounds), timings: all }
  return compared
})
