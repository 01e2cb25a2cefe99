import type { Frame } from "./frame.ts"
import { type Selection, selects } from "./selection.ts"

/** The newest frames, without holes. */
export class FrameRing {
  readonly #capacity: number
  #frames: Array<Frame> = []

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  push(frame: Frame): void {
    const last = this.#frames.at(-1)
    if (last !== undefined && frame.seq !== last.seq + 1) this.#frames = []
    this.#frames.push(frame)
    // Cut seldom, not with every frame.
    const surplus = this.#frames.length - this.#capacity
    if (surplus > this.#capacity + 64) this.#frames = this.#frames.slice(surplus)
  }

  clear(): void {
    this.#frames = []
  }

  /** The next frames after `seq`, at most `limit`; undefined when they are not all here. */
  after(seq: number, limit: number): ReadonlyArray<Frame> | undefined {
    const first = this.#frames[0]
    if (first === undefined || seq < first.seq - 1) return undefined
    const from = seq - first.seq + 1
    return this.#frames.slice(from, from + limit)
  }

  /**
   * Position after which lie exactly the newest `limit` selected frames of the `capacity` newest ones, or all of them
   * if they are fewer; undefined when there is none.
   */
  lookBack(selection: Selection, limit: number): number | undefined {
    let found = 0
    let start: number | undefined
    const end = Math.max(0, this.#frames.length - this.#capacity)
    for (let index = this.#frames.length - 1; index >= end && found < limit; index -= 1) {
      const frame = this.#frames[index]
      if (frame === undefined || !selects(selection, frame)) continue
      found += 1
      start = frame.seq - 1
    }
    return start
  }
}
