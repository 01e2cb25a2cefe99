import { Effect, type Scope } from "effect"

/** Parts the period is cut into. */
const SLICES = 20

/** Visits many items regularly with one timer, a part of them at a time, so that no moment has to do all the work. */
export class Wheel<A> {
  readonly #slices: ReadonlyArray<Set<A>> = Array.from({ length: SLICES }, () => new Set<A>())
  readonly #visit: (item: A) => void
  #next = 0
  #added = 0

  private constructor(visit: (item: A) => void) {
    this.#visit = visit
  }

  /** Turns until the scope closes. @param periodMs time between two visits of an item */
  static readonly make = <A>(
    periodMs: number,
    visit: (item: A) => void
  ): Effect.Effect<Wheel<A>, never, Scope.Scope> =>
    Effect.gen(function* () {
      const wheel = new Wheel(visit)
      yield* Effect.acquireRelease(
        Effect.sync(() => setInterval(() => wheel.turn(), periodMs / SLICES)),
        (timer) => Effect.sync(() => clearInterval(timer))
      )
      return wheel
    })

  /** The result takes the item out. */
  add(item: A): () => void {
    const slice = this.#slices[this.#added++ % SLICES]
    slice?.add(item)
    return () => void slice?.delete(item)
  }

  /** One slice on. */
  turn(): void {
    for (const item of this.#slices[this.#next++ % SLICES] ?? []) this.#visit(item)
  }
}
