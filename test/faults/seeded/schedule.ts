import { Effect, Random } from "effect"

/**
 * What goes wrong in a run, and when: a pure function of the seed and of the constants here. Numbers come from Effect's
 * seeded generator; the clients draw theirs from generators of their own, so that how fast they are changes no fault.
 */

/** For how long faults begin, ms. */
export const LASTS_MS = 12_000
export const LEASE_SECS = 1

export const BEHAVIOURS = ["hang", "reset", "redirect", "garbage", "huge", "error", "late"] as const
export type Misbehaviour = (typeof BEHAVIOURS)[number]

export type Fault =
  /** SIGKILL, and a new process after so long. */
  | { readonly kind: "kill"; readonly replica: number; readonly forMs: number }
  /** SIGTERM, and a new process once it has ended. */
  | { readonly kind: "restart"; readonly replica: number; readonly forMs: 0 }
  /** SIGSTOP, then SIGCONT. */
  | { readonly kind: "pause"; readonly replica: number; readonly forMs: number }
  /** The wall clock of the process is off. */
  | { readonly kind: "clock"; readonly replica: number; readonly forMs: number; readonly byMs: number }
  /** What is between a replica and the database; see `FaultProxy`. */
  | {
      readonly kind: "stall" | "halfOpen" | "cut" | "slow"
      readonly replica: number
      readonly forMs: number
      readonly delayMs: number
    }
  | { readonly kind: "reset"; readonly replica: number; readonly forMs: 0 }
  | { readonly kind: "databaseKill"; readonly forMs: 0 }
  | { readonly kind: "databasePause" | "readOnly" | "diskFull" | "redisGone"; readonly forMs: number }
  | { readonly kind: "receiver"; readonly forMs: number; readonly as: Misbehaviour }

export interface Planned {
  /** Since the faults began. */
  readonly atMs: number
  readonly fault: Fault
}

export interface Plan {
  readonly seed: number
  readonly replicas: number
  /** By `atMs`. */
  readonly faults: ReadonlyArray<Planned>
}

/** Kinds of faults by how often they are drawn. */
const WEIGHTS: Readonly<Record<Fault["kind"], number>> = {
  kill: 5,
  restart: 2,
  pause: 4,
  clock: 3,
  stall: 2,
  halfOpen: 3,
  cut: 2,
  slow: 2,
  reset: 2,
  databaseKill: 2,
  databasePause: 2,
  readOnly: 2,
  diskFull: 2,
  redisGone: 2,
  receiver: 5
}
const kinds = Object.entries(WEIGHTS).flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind as Fault["kind"])
)

const MINUTE = 60_000
/** How far a clock is off: a step of NTP, a lost summer time, a machine that thinks it is another year. */
const CLOCKS = [
  -365 * 24 * 60 * MINUTE,
  -60 * MINUTE,
  -90_000,
  -5000,
  5000,
  90_000,
  60 * MINUTE,
  120 * 24 * 60 * MINUTE
]

const between = (from: number, to: number) => Random.nextIntBetween(from, to)
const oneOf = <A>(values: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(between(0, values.length - 1), (index) => values[index] as A)

const draw = (replicas: number): Effect.Effect<Fault> =>
  Effect.gen(function* () {
    const kind = yield* oneOf(kinds)
    const replica = yield* between(0, replicas - 1)
    switch (kind) {
      case "kill":
        return { kind, replica, forMs: yield* between(0, 1500) }
      case "restart":
      case "reset":
        return { kind, replica, forMs: 0 }
      case "pause":
        // Shorter and longer than leases, and than claims of deliveries.
        return { kind, replica, forMs: yield* between(200, 3500 * LEASE_SECS) }
      case "clock":
        return { kind, replica, forMs: yield* between(500, 4000), byMs: yield* oneOf(CLOCKS) }
      case "stall":
      case "halfOpen":
      case "cut":
      case "slow":
        return { kind, replica, forMs: yield* between(200, 4000), delayMs: yield* between(5, 60) }
      case "databaseKill":
        return { kind, forMs: 0 }
      case "databasePause":
        return { kind, forMs: yield* between(200, 2500) }
      case "readOnly":
      case "diskFull":
      case "redisGone":
        return { kind, forMs: yield* between(300, 2500) }
      case "receiver":
        return { kind, forMs: yield* between(500, 4000), as: yield* oneOf(BEHAVIOURS) }
    }
  })

/** What a fault happens to; two that share it wait for each other. */
export const laneOf = (fault: Fault): string => {
  switch (fault.kind) {
    case "kill":
    case "restart":
    case "pause":
    case "clock":
      return `replica ${fault.replica}`
    case "stall":
    case "halfOpen":
    case "cut":
    case "slow":
    case "reset":
      return `link ${fault.replica}`
    case "redisGone":
      return "redis"
    case "receiver":
      return "receiver"
    default:
      return "database"
  }
}

export const planOf = (seed: number): Plan =>
  Effect.gen(function* () {
    const replicas = yield* between(2, 3)
    const count = yield* between(8, 13)
    const faults: Array<Planned> = []
    for (let n = 0; n < count; n += 1) {
      faults.push({ atMs: yield* between(300, LASTS_MS), fault: yield* draw(replicas) })
    }
    return { seed, replicas, faults: faults.toSorted((a, b) => a.atMs - b.atMs) }
  }).pipe(Random.withSeed(`faults/${seed}`), Effect.runSync)

const details = (fault: Fault): string => {
  switch (fault.kind) {
    case "clock":
      return ` by ${fault.byMs / 1000} s`
    case "slow":
      return `, ${fault.delayMs} ms each piece`
    case "receiver":
      return ` ${fault.as}`
    default:
      return ""
  }
}

/** One line. */
export const describe = ({ atMs, fault }: Planned): string =>
  `${(atMs / 1000).toFixed(2).padStart(6)} s  ${laneOf(fault)}: ${fault.kind}${details(fault)}` +
  (fault.forMs === 0 ? "" : ` for ${(fault.forMs / 1000).toFixed(2)} s`)
