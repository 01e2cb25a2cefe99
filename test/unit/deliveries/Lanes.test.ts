import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Lanes } from "../../../src/deliveries/Lanes.ts"

const LEASE = 1000

const row = (webhookId: string, n: number, slots = 8) => ({ id: `${webhookId}${n}`, webhookId, slots })

const rowsOf = (webhookId: string, count: number, slots = 8) =>
  Array.from({ length: count }, (_, n) => row(webhookId, n, slots))

/** Begins as many attempts as may run; their ids in order. */
const beginAll = (lanes: Lanes<ReturnType<typeof row>>) => {
  const begun: Array<string> = []
  for (let held = lanes.next(); held !== undefined; held = lanes.next()) begun.push(held.row.id)
  return begun
}

const make = (total = 64, perEndpoint = 8) => new Lanes<ReturnType<typeof row>>({ total, perEndpoint })

/** Attempts all of these to the end, each taking so many ms. */
const settleAll = (lanes: Lanes<ReturnType<typeof row>>, ids: ReadonlyArray<string>, ms: number) => {
  for (const id of ids) lanes.ended(id, ms)
  for (const id of ids) lanes.drop(id)
}

describe("lanes", () => {
  it("let endpoints take turns, none with more attempts at once than it is given", () => {
    const lanes = make(64, 2)
    lanes.admit([...rowsOf("a", 5, 2), ...rowsOf("b", 1, 2), ...rowsOf("c", 3, 1)], 0, LEASE)
    assert.deepEqual(beginAll(lanes), ["a0", "b0", "c0", "a1"])
    lanes.ended("a0", 5)
    assert.deepEqual(beginAll(lanes), ["a2"])
  })

  it("keep a quarter of the slots for endpoints that have none", () => {
    const lanes = make(8, 8)
    lanes.admit(rowsOf("hanging", 20), 0, LEASE)
    assert.lengthOf(beginAll(lanes), 6)
    lanes.admit([row("b", 0), row("b", 1), row("c", 0)], 0, LEASE)
    assert.deepEqual(beginAll(lanes), ["b0", "c0"])
  })

  it("begin nothing while as many results wait to be written as may run at once", () => {
    const lanes = make(4, 4)
    lanes.admit(rowsOf("a", 9, 4), 0, LEASE)
    const begun = beginAll(lanes)
    for (const id of begun) lanes.ended(id, 1)
    const more = beginAll(lanes)
    assert.strictEqual(begun.length + more.length, 4)
    for (const id of begun) lanes.drop(id)
    assert.isNotEmpty(beginAll(lanes))
  })

  it("ask for no more than an endpoint is given, until it is known to be fast", () => {
    const lanes = make()
    lanes.admit(rowsOf("a", 8), 0, LEASE)
    beginAll(lanes)
    assert.strictEqual(lanes.rooms().rooms.get("a"), 0)
    lanes.ended("a0", 5)
    assert.strictEqual(lanes.rooms().rooms.get("a"), 25) // one for the free slot, three times the slots ahead
    const slow = make()
    slow.admit(rowsOf("a", 8), 0, LEASE)
    beginAll(slow)
    slow.ended("a0", 500)
    assert.strictEqual(slow.rooms().rooms.get("a"), 1)
  })

  it("ask for nothing while every slot is taken", () => {
    const lanes = make(2, 1)
    lanes.admit([row("a", 0, 1), row("b", 0, 1), row("c", 0, 1)], 0, LEASE)
    beginAll(lanes)
    assert.strictEqual(lanes.rooms().limit, 0)
    settleAll(lanes, ["a0"], 1)
    assert.isAbove(lanes.rooms().limit, 0)
  })

  it("keep what is there already when it is claimed again, under the new lease", () => {
    const lanes = make()
    lanes.admit([row("a", 0)], 0, LEASE)
    const held = lanes.next()
    lanes.admit([row("a", 0)], 0, 2 * LEASE)
    assert.isUndefined(lanes.next())
    assert.strictEqual(held?.leaseUntil, 2 * LEASE)
  })

  it("give back what waits for an endpoint that is halted, also what was asked for before", () => {
    const lanes = make(64, 1)
    lanes.admit(rowsOf("a", 3, 1), 0, LEASE)
    beginAll(lanes)
    assert.deepEqual(lanes.halt("a", 10), ["a1", "a2"])
    for (const id of ["a1", "a2"]) lanes.drop(id)
    assert.deepEqual(lanes.admit([row("a", 3), row("b", 0)], 9, LEASE), ["a3"])
    assert.deepEqual(lanes.admit([row("a", 4)], 11, LEASE), [])
  })

  it("never exceed a limit nor lose or repeat a delivery, whatever happens in whatever order", () => {
    const total = 6
    const command = fc.record({
      kind: fc.constantFrom("admit", "next", "end", "drop", "pace", "halt"),
      webhook: fc.constantFrom("a", "b", "c"),
      count: fc.integer({ min: 1, max: 5 })
    })
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const lanes = make(total, 3)
        const [begun, running, ended] = [new Set<string>(), new Set<string>(), new Set<string>()]
        let admitted = 0
        let at = 0
        for (const { count, kind, webhook } of commands) {
          at += 1
          const { limit } = lanes.rooms()
          if (kind === "admit") {
            const rows = Array.from({ length: count }, () => row(webhook, admitted++, 3))
            lanes.admit(rows, at, at + LEASE)
          } else if (kind === "next") {
            const held = lanes.next()
            if (held === undefined) continue
            assert.isFalse(begun.has(held.row.id), "begun twice")
            begun.add(held.row.id)
            running.add(held.row.id)
            const mine = [...running].filter((id) => id.startsWith(held.row.webhookId))
            assert.isAtMost(mine.length, 3)
          } else if (kind === "end") {
            const [id] = running
            if (id === undefined) continue
            lanes.ended(id, count)
            running.delete(id)
            ended.add(id)
          } else if (kind === "drop") {
            const [id] = ended
            if (id === undefined) continue
            lanes.drop(id)
            ended.delete(id)
          } else if (kind === "pace") lanes.pace(webhook, count > 3 ? 3 : count)
          else for (const id of lanes.halt(webhook, at)) lanes.drop(id)
          assert.isAtMost(running.size + ended.size, total)
          assert.strictEqual(lanes.held.size, running.size + ended.size + lanes.waiting().length)
          assert.isAtLeast(limit, 0)
        }
        for (const id of [...running, ...ended, ...lanes.waiting()]) lanes.drop(id)
        assert.strictEqual(lanes.held.size, 0)
        assert.deepEqual(lanes.rooms(), { limit: 2 * total, rooms: new Map() })
      })
    )
  })
})
