import { canonicalType } from "../../../../src/events/types.ts"
import type { Fault, Plan } from "../schedule.ts"
import type { World } from "../World.ts"
import type { Stored } from "./ledger.ts"

/** What a subscription gets that names no types. */
const DELIVERED: ReadonlySet<string> = new Set([
  "agent.registered",
  "agent.expired",
  "agent.deregistered",
  "handshake.complete",
  "handshake.failed",
  "tct.revoked"
])

/** Attempts at once that an endpoint is given by one replica (WEBHOOK_CONCURRENCY_PER_ENDPOINT). */
const SLOTS = 8
/** Deliveries to one endpoint that a replica has attempted, or attempts, without having written the result down. */
const OPEN = 2 * SLOTS

/** Replicas that a fault can keep from writing down in time what they have delivered. */
const keptFromSettling = (fault: Fault, replicas: number): number => {
  switch (fault.kind) {
    case "kill":
    case "restart":
    case "pause":
    case "stall":
    case "halfOpen":
    case "cut":
    case "slow":
    case "reset":
      return 1
    case "databaseKill":
    case "databasePause":
    case "readOnly":
    case "diskFull":
      return replicas
    default:
      return 0
  }
}

/**
 * Most repetitions to one endpoint. A delivery that was accepted is repeated only when its claim ran out before the result
 * was written down; a replica has at most `OPEN` results to write per endpoint, and it takes a fault that strikes the
 * replica or its database to keep it from that: one such batch for each fault and replica it strikes.
 */
export const repetitionsAllowed = ({ faults, replicas }: Plan): number =>
  faults.reduce((sum, { fault }) => sum + OPEN * keptFromSettling(fault, replicas), 0)

/** Every matching event came to every receiver, nothing else did, and repetitions are explained by faults. */
export const judgeDeliveries = (world: World, plan: Plan, ledger: ReadonlyArray<Stored>): void => {
  const { journal, receivers } = world
  const wanted = new Set(ledger.filter(({ type }) => DELIVERED.has(canonicalType(type))).map(({ id }) => id))
  const strikes = plan.faults.filter(({ fault }) => keptFromSettling(fault, plan.replicas) > 0).length
  for (const { accepted, name } of receivers.all) {
    const lost = [...wanted].filter((id) => !accepted.has(id))
    if (lost.length > 0)
      journal.violated(
        "every matching event is delivered",
        `${lost.length} never came to the ${name} one: ${lost[0]}`
      )
    const extra = [...accepted.keys()].filter((id) => !wanted.has(id))
    if (extra.length > 0) journal.violated("nothing else is delivered", `${name}: ${extra[0]}`)
    const repeated = [...accepted.values()].reduce((sum, n) => sum + n - 1, 0)
    const allowed = repetitionsAllowed(plan)
    if (repeated > allowed)
      journal.violated("repetitions are within their bound", `${name}: ${repeated} of ${allowed}`)
    for (const [id, n] of accepted)
      if (n - 1 > strikes)
        journal.violated("a delivery is repeated at most once per fault", `${name}: ${id} came ${n} times`)
    journal.answered(`repetitions to the ${name} receiver, of ${allowed} allowed:`, repeated)
  }
}
