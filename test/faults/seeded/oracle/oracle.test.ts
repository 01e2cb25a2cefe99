import { assert, describe, it } from "@effect/vitest"
import { Journal } from "../Journal.ts"
import type { Plan } from "../schedule.ts"
import type { World } from "../World.ts"
import { judgeDeliveries, repetitionsAllowed } from "./deliveries.ts"
import type { Stored } from "./ledger.ts"
import { judgeMemory, judgeOutput } from "./remains.ts"

const event = (id: string, type: string): Stored => ({
  seq: 1,
  id,
  type,
  source: "playground",
  aidA: null,
  ts: 0,
  payload: {}
})

const plan = (kinds: ReadonlyArray<"kill" | "databaseKill">): Plan => ({
  seed: 0,
  replicas: 3,
  faults: kinds.map((kind) => ({ atMs: 0, fault: { kind, replica: 0, forMs: 0 } }))
})

/** A world in which two receivers have accepted these, so often, and in which replicas have written this. */
const worldOf = (accepted: Readonly<Record<string, number>>, log = "", endedBy?: string): World => {
  const inbox = (name: string) => ({ name, url: "", accepted: new Map(Object.entries(accepted)) })
  return {
    journal: new Journal(),
    receivers: { all: [inbox("steady"), inbox("moody")] },
    replicas: [{ name: 0, logs: [log], endedBy }]
  } as unknown as World // only what the judges look at
}

const propertiesOf = ({ journal }: World) => [...journal.violations.keys()]

describe("the oracle", () => {
  it("finds a delivery that never came, one that nobody wanted, and a repetition without a fault", () => {
    const ledger = [event("a", "tct.revoked"), event("b", "handshake.completed"), event("c", "note")]
    const judged = (accepted: Readonly<Record<string, number>>, kinds: ReadonlyArray<"kill"> = []) => {
      const world = worldOf(accepted)
      judgeDeliveries(world, plan(kinds), ledger)
      return propertiesOf(world)
    }
    assert.deepEqual(judged({ a: 1, b: 1 }), [])
    assert.deepEqual(judged({ a: 1 }), ["every matching event is delivered"])
    assert.deepEqual(judged({ a: 1, b: 1, c: 1 }), ["nothing else is delivered"])
    assert.include(judged({ a: 2, b: 1 }), "repetitions are within their bound")
    assert.deepEqual(judged({ a: 2, b: 1 }, ["kill"]), [])
    assert.deepEqual(judged({ a: 3, b: 1 }, ["kill"]), ["a delivery is repeated at most once per fault"])
  })

  it("allows a batch of repetitions for each replica that a fault strikes", () => {
    assert.strictEqual(repetitionsAllowed(plan(["kill"])), 16)
    assert.strictEqual(repetitionsAllowed(plan(["kill", "databaseKill"])), 64)
  })

  it("finds a secret in a log, and a process that ended by itself", () => {
    const world = worldOf({}, "a line with hunter2 in it", "exit 1")
    world.journal.secrets.add("hunter2")
    judgeOutput(world)
    assert.deepEqual(propertiesOf(world), ["no process ends by itself", "no secret is written into a log"])
    assert.notInclude(JSON.stringify([...world.journal.violations]), "hunter2")
  })

  it("finds memory and sockets that do not come back", () => {
    const world = worldOf({})
    const fresh = { look: 1, heap: 70e6, rss: 200e6, resources: { TCPSocketWrap: 5 } }
    judgeMemory(world, fresh, 0, { ...fresh, heap: 80e6, rss: 300e6 })
    assert.deepEqual(propertiesOf(world), [])
    judgeMemory(world, fresh, 0, { ...fresh, heap: 270e6 })
    judgeMemory(world, fresh, 0, { ...fresh, resources: { TCPSocketWrap: 500 } })
    assert.deepEqual(propertiesOf(world), ["memory comes back to its baseline", "sockets are closed"])
  })
})
