import { batchesOf, type Batch, type Frame } from "./frame.ts"
import { FilterIndex, type Group } from "./FilterIndex.ts"
import { FrameRing } from "./FrameRing.ts"
import { type Extent, formatPosition } from "./position.ts"
import type { Selection } from "./selection.ts"

/** A reader at the end of the ledger. Neither call may attach or detach another reader. */
export interface Follower {
  /** The next events for it; the batch is shared and must not be changed. */
  readonly offer: (batch: Batch) => void
  /** Positions begin anew: the log was restored or recreated. It is no longer attached. */
  readonly restarted: () => void
}

export type Attachment = Group<Follower>

interface Waiter {
  readonly seq: number
  readonly reached: () => void
}

/**
 * What this process knows of the end of the ledger: extent, newest frames, and the readers that wait for more. All in
 * memory and synchronous, so a reader that has read up to `head` and attaches misses nothing and gets nothing twice.
 */
export class Tail {
  readonly #ring: FrameRing
  readonly #followers = new FilterIndex<Follower>()
  readonly #waiters = new Set<Waiter>()
  readonly #onAwaited: () => void
  #extent: Extent

  /**
   * @param lookBack frames kept in memory
   * @param onAwaited called when somebody begins to wait for what comes next
   */
  constructor(lookBack: number, extent: Extent, onAwaited: () => void = () => {}) {
    this.#ring = new FrameRing(lookBack)
    this.#extent = extent
    this.#onAwaited = onAwaited
  }

  /** Whether anybody waits for what comes next. */
  get isAwaited(): boolean {
    return this.#waiters.size > 0 || !this.#followers.isEmpty
  }

  get extent(): Extent {
    return this.#extent
  }

  position(seq = this.#extent.head): string {
    return formatPosition(this.#extent.epoch, seq)
  }

  /** Takes the frames that follow `head`, and hands them out. */
  advance(frames: ReadonlyArray<Frame>): void {
    const last = frames.at(-1)
    if (last === undefined) return
    for (const frame of frames) this.#ring.push(frame)
    const shares = this.#followers.distribute(frames)
    this.#extent = { ...this.#extent, head: last.seq }
    for (const [{ members }, share] of shares) {
      const batches = batchesOf(share)
      for (const member of members) for (const batch of batches) member.offer(batch)
    }
    this.#wake()
  }

  /** Retention has moved on. */
  retain(oldest: number): void {
    this.#extent = { ...this.#extent, oldest }
  }

  /** Another lineage: nothing known so far means anything any more. */
  restart(extent: Extent): void {
    this.#extent = extent
    this.#ring.clear()
    const followers = this.#followers.members()
    this.#followers.clear()
    for (const follower of followers) follower.restarted()
    this.#wake()
  }

  /** From now on, whatever comes after `head`. */
  attach(selection: Selection, follower: Follower): Attachment {
    const attachment = this.#followers.add(selection, follower)
    this.#onAwaited()
    return attachment
  }

  detach(attachment: Attachment, follower: Follower): void {
    this.#followers.remove(attachment, follower)
  }

  /** The next frames after `seq`, at most `limit`; undefined when they are not all in memory. */
  framesAfter(seq: number, limit: number): ReadonlyArray<Frame> | undefined {
    return this.#ring.after(seq, limit)
  }

  /** Where a replay of the newest `limit` events in memory begins. */
  lookBack(selection: Selection, limit: number): number {
    return this.#ring.lookBack(selection, limit) ?? this.#extent.head
  }

  /** Calls back once when `head` is at least `seq`; the result gives up waiting. */
  onReached(seq: number, reached: () => void): () => void {
    const waiter = { seq, reached }
    this.#waiters.add(waiter)
    this.#onAwaited()
    return () => void this.#waiters.delete(waiter)
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      if (waiter.seq > this.#extent.head) continue
      this.#waiters.delete(waiter)
      waiter.reached()
    }
  }
}
