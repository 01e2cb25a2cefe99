import { assert, describe, it } from "@effect/vitest"
import { batchesOf, checkpoint, reset } from "../../../src/stream/frame.ts"
import { EPOCH, frame, frames } from "../../support/stream/ledger.ts"

describe("frames", () => {
  it("leave absent members out and stay on one line", () => {
    const text = frame(7, { aidA: "a", grants: '["x"]', payload: '{\n"n": 1\r\n}' }).bytes.toString()
    const lines = text.split("\n")
    assert.strictEqual(lines[0], `id: ${EPOCH}.7`)
    assert.strictEqual(lines.length, 4)
    assert.isTrue(text.endsWith("}\n\n"))
    assert.deepEqual(JSON.parse((lines[1] ?? "").slice("data: ".length)), {
      id: "00000000-0000-7000-8000-000000000007",
      type: "t",
      ts: "1970-01-01T00:00:00.007Z",
      aidA: "a",
      grants: ["x"],
      payload: { n: 1 },
      source: "playground",
      seq: 7
    })
  })

  it("route under the canonical type and show the sent one", () => {
    const made = frame(1, { type: "handshake.completed" })
    assert.strictEqual(made.type, "handshake.complete")
    assert.include(made.bytes.toString(), '"type":"handshake.completed"')
  })

  it("are joined in order without going far beyond 64 KiB", () => {
    const large = frames(1, 40, { payload: JSON.stringify("x".repeat(10_000)) })
    const batches = batchesOf(large)
    assert.isAbove(batches.length, 1)
    for (const batch of batches) assert.isAtMost(batch.bytes.length, 65_536)
    assert.strictEqual(
      Buffer.concat(batches.map(({ bytes }) => bytes)).toString(),
      large.map(({ bytes }) => bytes.toString()).join("")
    )
    assert.deepEqual(
      batches.map(({ after }) => after),
      [0, ...batches.slice(0, -1).map(({ last }) => last)]
    )
  })

  it("sends a frame that is larger than a batch alone", () => {
    const huge = frame(2, { payload: JSON.stringify("x".repeat(200_000)) })
    assert.deepEqual(
      batchesOf([frame(1), huge, frame(3)]).map(({ frames }) => frames),
      [1, 1, 1]
    )
  })

  it("name what is no event", () => {
    assert.strictEqual(
      checkpoint("0a0b0c0d.5").toString(),
      'id: 0a0b0c0d.5\nevent: checkpoint\ndata: {"position":"0a0b0c0d.5"}\n\n'
    )
    assert.strictEqual(
      reset("shutdown", "0a0b0c0d.5", 700).toString(),
      'retry: 700\nid: 0a0b0c0d.5\nevent: reset\ndata: {"reason":"shutdown","position":"0a0b0c0d.5"}\n\n'
    )
  })
})
