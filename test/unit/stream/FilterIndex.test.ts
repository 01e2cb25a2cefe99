import { assert, describe, it } from "@effect/vitest"
import { FilterIndex } from "../../../src/stream/FilterIndex.ts"
import { FrameRing } from "../../../src/stream/FrameRing.ts"
import type { Frame } from "../../../src/stream/frame.ts"
import { type Selection, selects } from "../../../src/stream/selection.ts"
import { frame, frames, selecting } from "../../support/stream/ledger.ts"

const receivers = (index: FilterIndex<string>, event: Frame) =>
  [...index.distribute([event]).keys()].flatMap(({ members }) => Array.from(members)).toSorted()

const org = (orgId: string): Partial<Selection> => ({ visibility: { _tag: "orgs", orgIds: [orgId] } })

describe("the index of filters", () => {
  it("finds the readers of an event by each of its values, and no others", () => {
    const index = new FilterIndex<string>()
    index.add(selecting(), "all")
    index.add(selecting({ type: "handshake.completed" }), "alias")
    index.add(selecting({ type: "other" }), "other type")
    index.add(selecting({ runId: "r" }), "run")
    index.add(selecting({ runId: "r", type: "other" }), "run and other type")
    index.add(selecting({ sessionId: "s", runId: "r" }), "session and run")
    index.add(selecting({ aid: "a" }), "a")
    index.add(selecting({ aid: "b" }), "b")
    index.add(selecting({ aid: "c" }), "c")
    index.add(selecting({ namespace: "n" }), "namespace")
    index.add(selecting(org("o")), "org")
    index.add(selecting(org("p")), "other org")
    const event = frame(1, {
      type: "handshake.complete",
      runId: "r",
      sessionId: "s",
      aidA: "a",
      aidB: "b",
      namespace: "n",
      orgIds: ["o"]
    })
    const found = ["a", "alias", "all", "b", "namespace", "org", "run", "session and run"]
    assert.deepEqual(receivers(index, event), found)
    assert.deepEqual(receivers(index, frame(2, { aidA: "a", aidB: "a" })), ["a", "all"])
  })

  it("leaves events of the identity provider and published lists to those who name them", () => {
    const index = new FilterIndex<string>()
    index.add(selecting(), "all")
    index.add(selecting({ source: "idp" }), "idp")
    index.add(selecting({ type: "revocation.list_published" }), "lists")
    assert.deepEqual(receivers(index, frame(1, { source: "idp" })), ["idp"])
    assert.deepEqual(receivers(index, frame(2, { type: "revocation.list_published" })), ["lists"])
  })

  it("puts readers of the same events together and forgets those that left", () => {
    const index = new FilterIndex<string>()
    const one = index.add(selecting({ aid: "a", runId: "r" }), "one")
    const two = index.add(selecting({ runId: "r", aid: "a" }), "two")
    assert.strictEqual(one, two)
    index.remove(one, "one")
    index.remove(two, "two")
    assert.strictEqual(index.distribute([frame(1, { aidA: "a", runId: "r" })]).size, 0)
    assert.deepEqual(index.members(), [])
  })
})

describe("the frames in memory", () => {
  it("are the newest ones, and say when they do not reach back far enough", () => {
    const ring = new FrameRing(10)
    for (const each of frames(1, 500)) ring.push(each)
    assert.isUndefined(ring.after(1, 10))
    assert.deepEqual(
      ring.after(490, 5)?.map(({ seq }) => seq),
      [491, 492, 493, 494, 495]
    )
    assert.deepEqual(ring.after(500, 5), [])
  })

  it("look back over as many as they should, however many they hold", () => {
    const ring = new FrameRing(10)
    for (const each of frames(1, 40)) ring.push(each)
    assert.strictEqual(ring.lookBack(selecting(), 100), 30)
    assert.strictEqual(ring.lookBack(selecting(), 3), 37)
    assert.isUndefined(ring.lookBack(selecting({ runId: "r" }), 3))
  })

  it("begin anew after a hole", () => {
    const ring = new FrameRing(10)
    for (const each of [...frames(1, 3), ...frames(7, 8)]) ring.push(each)
    assert.isUndefined(ring.after(3, 10))
    assert.strictEqual(ring.after(6, 10)?.length, 2)
  })

  it("hold nothing when none are wanted", () => {
    const ring = new FrameRing(0)
    for (const each of frames(1, 100)) ring.push(each)
    assert.isUndefined(ring.lookBack(selecting(), 100))
  })

  it("agree with the filter on what is selected", () => {
    assert.isTrue(selects(selecting({ since: new Date(5), until: new Date(5) }), frame(5)))
    assert.isFalse(selects(selecting({ since: new Date(6) }), frame(5)))
    assert.isFalse(selects(selecting({ until: new Date(4) }), frame(5)))
  })
})
