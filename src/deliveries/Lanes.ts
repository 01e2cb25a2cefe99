import type { Claimed } from "./model.ts"

/** How many attempts may run at once. */
export interface LaneLimits {
  /** In this process. */
  readonly total: number
  /** To one endpoint in good health. */
  readonly perEndpoint: number
}

/** A claimed delivery on its way through this process. */
export interface Held<Row> {
  readonly row: Row
  /** Until when the claim surely holds, on the clock of `performance.now()`. */
  leaseUntil: number
  /** Waiting for its attempt, being attempted, or attempted and not yet written down. */
  stage: "waiting" | "running" | "unsettled"
}

interface Lane<Row> {
  readonly webhookId: string
  readonly waiting: Array<Held<Row>>
  running: number
  unsettled: number
  /** Attempts at once that the endpoint is given now. */
  slots: number
  /** Of recent attempts, ms; undefined before the first has ended. */
  latencyMs: number | undefined
}

/** Part of the slots that only endpoints without a running attempt may take, so that slow ones cannot take them all. */
const RESERVED = 0.25
/** Claims beyond the running attempts, as a multiple of these, for endpoints that answer within so many ms. */
const AHEAD = [
  { withinMs: 25, times: 3 },
  { withinMs: 100, times: 1 }
] as const
/** Weight of the newest attempt in the latency. */
const NEWEST = 0.2
/** Claims in all, as a multiple of the attempts that may run. */
const CLAIMED = 2

/**
 * Which claimed deliveries are attempted next: endpoints take turns, none has more attempts under way than it is given,
 * and no more results are open than may run at once, which bounds what a crash sends twice. Synchronous; the dispatcher
 * of a process owns one.
 */
export class Lanes<Row extends Pick<Claimed, "id" | "slots" | "webhookId">> {
  readonly #limits: LaneLimits
  /** In the order of their turns. */
  readonly #lanes = new Map<string, Lane<Row>>()
  readonly #held = new Map<string, Held<Row>>()
  /** When endpoints were last found not to be attempted, by subscription. */
  readonly #halts = new Map<string, number>()
  #waiting = 0
  #running = 0
  #unsettled = 0

  constructor(limits: LaneLimits) {
    this.#limits = limits
  }

  /** Deliveries of this process that are not written down yet. */
  get held(): ReadonlyMap<string, Held<Row>> {
    return this.#held
  }

  /** What may be claimed now: rows in all, and rows by subscription of those with deliveries here. */
  rooms(): { readonly limit: number; readonly rooms: ReadonlyMap<string, number> } {
    const { total } = this.#limits
    const busy = this.#running + this.#unsettled
    const rooms = new Map<string, number>()
    for (const lane of this.#lanes.values()) {
      const wanted = lane.slots + this.#aheadOf(lane)
      rooms.set(lane.webhookId, Math.max(0, wanted - lane.waiting.length - lane.running))
    }
    return { limit: busy >= total ? 0 : Math.max(0, CLAIMED * total - busy - this.#waiting), rooms }
  }

  /**
   * Takes over what was claimed; a row that is here already stays what it is, under the new lease. Gives the ids of rows
   * that were claimed in vain, because their endpoint has been halted since.
   * @param askedAt when they were asked for
   */
  admit(rows: ReadonlyArray<Row>, askedAt: number, leaseUntil: number): ReadonlyArray<string> {
    const inVain: Array<string> = []
    for (const row of rows) {
      const known = this.#held.get(row.id)
      if (known !== undefined) {
        known.leaseUntil = leaseUntil
        continue
      }
      const haltedAt = this.#halts.get(row.webhookId)
      if (haltedAt !== undefined && haltedAt >= askedAt) {
        inVain.push(row.id)
        continue
      }
      this.#halts.delete(row.webhookId)
      const held: Held<Row> = { row, leaseUntil, stage: "waiting" }
      this.#held.set(row.id, held)
      const lane = this.#laneOf(row)
      lane.slots = row.slots
      lane.waiting.push(held)
      this.#waiting += 1
    }
    return inVain
  }

  /** The delivery to attempt now, which is then running; undefined while nothing may be attempted. */
  next(): Held<Row> | undefined {
    const { total } = this.#limits
    if (this.#running + this.#unsettled >= total) return undefined
    const contested = this.#running >= total * (1 - RESERVED)
    for (const lane of this.#lanes.values()) {
      const [first] = lane.waiting
      if (first === undefined || (contested && lane.running > 0)) continue
      if (lane.running >= lane.slots || lane.running + lane.unsettled >= 2 * lane.slots) continue
      lane.waiting.shift()
      this.#waiting -= 1
      first.stage = "running"
      lane.running += 1
      this.#running += 1
      // To the end of the turns.
      this.#lanes.delete(lane.webhookId)
      this.#lanes.set(lane.webhookId, lane)
      return first
    }
    return undefined
  }

  /** The attempt has ended and its result is about to be written down. */
  ended(id: string, durationMs: number): void {
    const held = this.#held.get(id)
    const lane = held === undefined ? undefined : this.#lanes.get(held.row.webhookId)
    if (held === undefined || lane === undefined || held.stage !== "running") return
    held.stage = "unsettled"
    lane.running -= 1
    this.#running -= 1
    lane.unsettled += 1
    this.#unsettled += 1
    lane.latencyMs =
      lane.latencyMs === undefined ? durationMs : lane.latencyMs * (1 - NEWEST) + durationMs * NEWEST
  }

  /** This process has nothing to do with the delivery any more. */
  drop(id: string): void {
    const held = this.#held.get(id)
    const lane = held === undefined ? undefined : this.#lanes.get(held.row.webhookId)
    if (held === undefined || lane === undefined) return
    this.#held.delete(id)
    if (held.stage === "waiting") {
      lane.waiting.splice(lane.waiting.indexOf(held), 1)
      this.#waiting -= 1
    } else if (held.stage === "running") {
      lane.running -= 1
      this.#running -= 1
    } else {
      lane.unsettled -= 1
      this.#unsettled -= 1
    }
    if (lane.waiting.length + lane.running + lane.unsettled === 0) this.#lanes.delete(lane.webhookId)
  }

  /** The endpoint is given so many attempts at once. */
  pace(webhookId: string, slots: number): void {
    const lane = this.#lanes.get(webhookId)
    if (lane !== undefined) lane.slots = slots
  }

  /** The endpoint must not be attempted. Gives the ids of deliveries that now wait in vain. */
  halt(webhookId: string, at: number): ReadonlyArray<string> {
    this.#halts.set(webhookId, at)
    return this.#lanes.get(webhookId)?.waiting.map(({ row }) => row.id) ?? []
  }

  /** Ids of all deliveries that are not being attempted. */
  waiting(): ReadonlyArray<string> {
    return [...this.#lanes.values()].flatMap((lane) => lane.waiting.map(({ row }) => row.id))
  }

  #aheadOf(lane: Lane<Row>): number {
    const { latencyMs, slots } = lane
    if (latencyMs === undefined || slots < this.#limits.perEndpoint) return 0
    return slots * (AHEAD.find(({ withinMs }) => latencyMs <= withinMs)?.times ?? 0)
  }

  #laneOf({ slots, webhookId }: Row): Lane<Row> {
    const known = this.#lanes.get(webhookId)
    if (known !== undefined) return known
    const lane: Lane<Row> = {
      webhookId,
      waiting: [],
      running: 0,
      unsettled: 0,
      slots,
      latencyMs: undefined
    }
    this.#lanes.set(webhookId, lane)
    return lane
  }
}
