import { isSpent, type Limit, type Window } from "../http/RateLimiter.ts"

/** Windows looked at, at most, for one whose place may be taken. */
const PATIENCE = 8

interface Slot extends Window {
  readonly key: string
  count: number
  endsAt: number
  reset: string
}

/**
 * The windows of one bucket, in memory. There are never more than `capacity`: when it is reached, a new key takes the
 * place of an old one, preferably one whose window has ended, then one that has used at most half of its quota. A
 * flood of new keys thereby displaces itself, and not the keys that are being held back. Places are passed in a
 * circle, so neither finding one nor forgetting ended windows ever walks through all of them.
 */
export class FixedWindows {
  readonly #limit: Limit
  readonly #capacity: number
  readonly #byKey = new Map<string, Slot>()
  readonly #slots: Array<Slot> = []
  #hand = -1

  constructor(limit: Limit, capacity: number) {
    this.#limit = limit
    this.#capacity = capacity
  }

  /** Windows held now. */
  get size(): number {
    return this.#byKey.size
  }

  /** The key's window while it lasts, without counting. */
  find(key: string, now: number): Window | undefined {
    const slot = this.#byKey.get(key)
    return slot === undefined || slot.endsAt <= now ? undefined : slot
  }

  /** Counts one request of the key. */
  take(key: string, now: number): Window {
    const slot = this.#byKey.get(key) ?? this.#place(key, now)
    if (slot.endsAt <= now) this.#begin(slot, 0, now, this.#limit.windowMs)
    if (!isSpent(slot)) slot.count += 1
    return slot
  }

  /** Takes over what was counted elsewhere. @param leftMs until the window ends */
  set(key: string, count: number, now: number, leftMs: number): Window {
    const slot = this.#byKey.get(key) ?? this.#place(key, now)
    this.#begin(slot, Math.min(count, this.#limit.quota + 1), now, leftMs)
    return slot
  }

  #begin(slot: Slot, count: number, now: number, leftMs: number): void {
    slot.count = count
    slot.endsAt = now + leftMs
    slot.reset = String(Math.ceil((Date.now() + leftMs) / 1000))
  }

  #place(key: string, now: number): Slot {
    const slot: Slot = { limit: this.#limit, key, count: 0, endsAt: Number.NEGATIVE_INFINITY, reset: "" }
    const index = this.#vacancy(now)
    const former = this.#slots[index]
    if (former !== undefined) this.#byKey.delete(former.key)
    this.#slots[index] = slot
    this.#byKey.set(key, slot)
    return slot
  }

  /** Where a new window may be put; the end of the list while it may grow. */
  #vacancy(now: number): number {
    const { length } = this.#slots
    const full = length >= this.#capacity
    const looks = Math.min(length, full ? PATIENCE : 2) // two, so that ended windows go faster than new ones come
    for (let looked = 0; looked < looks; looked += 1) {
      this.#hand = (this.#hand + 1) % length
      const slot = this.#slots[this.#hand]
      if (slot === undefined || slot.endsAt <= now || (full && slot.count * 2 <= this.#limit.quota))
        return this.#hand
    }
    return full ? this.#hand : length
  }
}
