import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Delivered, eventsIn, MessageCutter } from "../../../scripts/bench/frames.ts"

const frame = (seq: number, id = `event-${seq}`) =>
  `id: epoch.${seq}\ndata: ${JSON.stringify({ id, seq, payload: { note: "data: {}" } })}\n\n`

const stream = [1, 2, 3].map((seq) => frame(seq)).join(": heartbeat\n\n")

describe("a stream", () => {
  it("has its events and nothing else read out of it", () => {
    const checkpoint = 'id: epoch.9\nevent: checkpoint\ndata: {"position":"epoch.9"}\n\n'
    assert.deepEqual(
      eventsIn(stream + checkpoint).map(({ seq }) => seq),
      [1, 2, 3]
    )
  })

  it("is whole again however it was cut into chunks", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), stream.length]
        const chunks = places.slice(1).map((end, index) => stream.slice(places[index], end))
        const cutter = new MessageCutter()
        assert.strictEqual(chunks.map((chunk) => cutter.take(chunk)).join(""), stream)
      })
    )
  })
})

describe("what a subscriber got", () => {
  it("counts events and gives their ids", () => {
    const delivered = new Delivered(new Map())
    assert.deepEqual(delivered.take(frame(4) + frame(7)), ["event-4", "event-7"])
    assert.strictEqual(delivered.count, 2)
    assert.isUndefined(delivered.fault)
  })

  it("is at fault when a position comes twice or goes back", () => {
    for (const second of [4, 3]) {
      const delivered = new Delivered(new Map())
      delivered.take(frame(4) + frame(second, "other"))
      assert.isDefined(delivered.fault)
    }
  })

  it("has no order where positions mean nothing", () => {
    const delivered = new Delivered()
    assert.deepEqual(delivered.take(frame(4) + frame(3)), ["event-4", "event-3"])
    assert.isUndefined(delivered.fault)
  })

  it("is at fault when another subscriber had another event at a position", () => {
    const places = new Map<number, string>()
    const [one, other] = [new Delivered(places), new Delivered(places)]
    one.take(frame(4))
    other.take(frame(4, "other"))
    assert.isUndefined(one.fault)
    assert.isDefined(other.fault)
  })
})
