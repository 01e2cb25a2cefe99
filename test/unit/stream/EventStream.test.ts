import { assert, describe, it } from "@effect/vitest"
import { EventStream, type Outlet, type Page, type Surroundings } from "../../../src/stream/EventStream.ts"
import type { Frame } from "../../../src/stream/frame.ts"
import type { Selection } from "../../../src/stream/selection.ts"
import { selects } from "../../../src/stream/selection.ts"
import { Tail } from "../../../src/stream/Tail.ts"
import { EPOCH, frame, frames, selecting } from "../../support/stream/ledger.ts"

/** A socket that takes bytes while `open`, and remembers them. */
class FakeOutlet implements Outlet {
  text = ""
  open = true
  ended = false
  watched = false
  readonly write = (bytes: Buffer) => {
    this.text += bytes.toString()
    return this.open
  }
  readonly watch = (waiting: boolean) => void (this.watched = waiting)
  readonly end = () => void (this.ended = true)

  get seqs(): ReadonlyArray<number> {
    return [...this.text.matchAll(/"seq":(\d+)\}/g)].map(([, seq]) => Number(seq))
  }
  get resets(): ReadonlyArray<string> {
    return [...this.text.matchAll(/"reason":"(\w+)","position":"([^"]+)"/g)].map((m) => `${m[1]} ${m[2]}`)
  }
  get checkpoints(): ReadonlyArray<string> {
    return [...this.text.matchAll(/event: checkpoint\ndata: \{"position":"([^"]+)"/g)].map(
      ([, at]) => at ?? ""
    )
  }
}

/** A ledger whose reads are answered when the test says so. */
const setting = (lookBack: number, stored: ReadonlyArray<Frame>) => {
  const ledger = [...stored]
  const tail = new Tail(lookBack, { epoch: EPOCH, head: Math.max(0, stored.length - lookBack), oldest: 1 })
  tail.advance(ledger.slice(tail.extent.head))
  const reads: Array<() => void> = []
  let dropped = 0
  let clock = 0
  const around: Surroundings = {
    tail,
    read: (selection, after, done) => {
      const read = () => {
        const upTo = Math.min(tail.extent.head, after + 100)
        const page: Page = {
          frames: ledger.filter(
            ({ seq }, at) => seq > after && seq <= upTo && selects(selection, ledger[at] ?? frame(0))
          ),
          upTo
        }
        done(page)
      }
      reads.push(read)
      return () => void reads.splice(reads.indexOf(read), 1)
    },
    counts: { reset: () => {}, dropped: (n) => void (dropped += n) },
    now: () => clock
  }
  return {
    tail,
    dropped: () => dropped,
    reads,
    advanceClock: (ms: number) => (clock += ms),
    append: (more: ReadonlyArray<Frame>) => {
      ledger.push(...more)
      tail.advance(more)
    },
    answerReads: () => {
      for (let read = reads.shift(); read !== undefined; read = reads.shift()) read()
    },
    connect: (after: number, selection: Selection = selecting()) => {
      const outlet = new FakeOutlet()
      return { outlet, stream: new EventStream(around, outlet, selection, after) }
    }
  }
}

const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const big = { payload: JSON.stringify("x".repeat(30_000)) }

describe("an event stream", () => {
  it("replays from memory, then follows, without a gap or a repeat", () => {
    const { append, connect, reads } = setting(50, frames(1, 20))
    const { outlet, stream } = connect(15)
    stream.open(3000)
    assert.strictEqual(outlet.text, "retry: 3000\n: connected\n\n")
    stream.start()
    assert.deepEqual(outlet.seqs, upTo(16, 20))
    append(frames(21, 23))
    append(frames(24, 24))
    assert.deepEqual(outlet.seqs, upTo(16, 24))
    assert.strictEqual(reads.length, 0)
  })

  it("reads what is no longer in memory and joins what came meanwhile", () => {
    const { answerReads, append, connect, reads } = setting(5, frames(1, 300))
    const { outlet, stream } = connect(0)
    stream.start()
    append(frames(301, 310))
    assert.strictEqual(reads.length, 1)
    answerReads()
    append(frames(311, 312))
    assert.deepEqual(outlet.seqs, upTo(1, 312))
  })

  it("gets only what it selects", () => {
    const mixed = frames(1, 40).map(({ seq }) => frame(seq, { runId: seq % 2 === 0 ? "even" : "odd" }))
    const { append, connect } = setting(50, mixed)
    const { outlet, stream } = connect(10, selecting({ runId: "even" }))
    stream.start()
    append([frame(41, { runId: "odd" }), frame(42, { runId: "even" })])
    assert.deepEqual(outlet.seqs, [...upTo(11, 40).filter((seq) => seq % 2 === 0), 42])
  })

  it("keeps frames for a full socket, and no heartbeat", () => {
    const { append, connect } = setting(50, [])
    const { outlet, stream } = connect(0)
    stream.start()
    outlet.open = false
    append(frames(1, 1))
    const before = outlet.text
    append(frames(2, 5))
    stream.heartbeat()
    assert.strictEqual(outlet.text, before)
    assert.isTrue(outlet.watched)
    outlet.open = true
    stream.drained()
    assert.deepEqual(outlet.seqs, upTo(1, 5))
    assert.isFalse(outlet.watched)
  })

  it("reads the ledger itself when too much is waiting, and loses nothing", () => {
    const { answerReads, append, connect, dropped } = setting(10, [])
    const { outlet, stream } = connect(0)
    stream.start()
    outlet.open = false
    for (let seq = 1; seq <= 100; seq += 1) append([frame(seq, big)])
    assert.isAbove(dropped(), 0)
    // one write at a time, as a slow client takes them
    while (outlet.seqs.length < 100) {
      const before = outlet.seqs.length
      stream.drained()
      answerReads()
      assert.isAbove(outlet.seqs.length, before)
    }
    outlet.open = true
    stream.drained()
    append(frames(101, 103))
    assert.deepEqual(outlet.seqs, upTo(1, 103))
    assert.deepEqual(outlet.resets, [])
  })

  it("is cut when its client takes nothing, and names where it was", () => {
    const { append, connect } = setting(50, [])
    const { outlet, stream } = connect(0)
    stream.start()
    outlet.open = false
    append(frames(1, 3))
    append(frames(4, 9))
    stream.stalled()
    assert.deepEqual(outlet.resets, [`slow_consumer ${EPOCH}.3`])
    assert.isTrue(outlet.ended)
    append(frames(10, 11))
    stream.drained()
    stream.heartbeat()
    assert.deepEqual(outlet.seqs, [1, 2, 3])
  })

  it("is cut when it has fallen too far behind, but not for the length of its replay", () => {
    const { append, connect, tail } = setting(0, [])
    const { outlet, stream } = connect(0)
    stream.start()
    outlet.open = false
    for (let seq = 1; seq <= 60; seq += 1) append([frame(seq, big)])
    const replay = connect(0)
    replay.stream.start()
    tail.advance(frames(61, 50_200))
    stream.attend(0)
    replay.stream.attend(0)
    assert.strictEqual(outlet.resets.length, 1)
    assert.include(outlet.resets[0], "slow_consumer")
    assert.deepEqual(replay.outlet.resets, [])
  })

  it("says how far it is when nothing is for it", () => {
    const { advanceClock, append, connect } = setting(5000, [])
    const { outlet, stream } = connect(0, selecting({ runId: "r" }))
    const whole = connect(0)
    stream.start()
    whole.stream.start()
    append(frames(1, 10))
    stream.attend(14_999)
    assert.deepEqual(outlet.checkpoints, [])
    advanceClock(15_000)
    stream.attend(15_000)
    stream.attend(15_000)
    assert.deepEqual(outlet.checkpoints, [`${EPOCH}.10`])
    append(frames(11, 1010))
    stream.attend(15_001)
    assert.deepEqual(outlet.checkpoints, [`${EPOCH}.10`, `${EPOCH}.1010`])
    whole.stream.attend(40_000)
    assert.deepEqual(whole.outlet.checkpoints, [])
  })

  it("goes on from now after a position that cannot be had", () => {
    const { append, connect, tail } = setting(5, frames(1, 30))
    tail.retain(20)
    const { outlet, stream } = connect(3)
    stream.start()
    append(frames(31, 31))
    assert.deepEqual(outlet.resets, [`expired ${EPOCH}.30`])
    assert.deepEqual(outlet.seqs, [31])
  })

  it("begins anew when the log does", () => {
    const { connect, tail } = setting(5, frames(1, 30))
    const { outlet, stream } = connect(30)
    stream.start()
    tail.restart({ epoch: "ffffffff", head: 4, oldest: 1 })
    tail.advance(frames(5, 5))
    assert.deepEqual(outlet.resets, ["unknown_epoch ffffffff.4"])
    assert.deepEqual(outlet.seqs, [5])
  })

  it("stops reading when its client leaves", () => {
    const { append, connect, reads } = setting(5, frames(1, 300))
    const { outlet, stream } = connect(0)
    stream.start()
    stream.gone()
    assert.strictEqual(reads.length, 0)
    append(frames(301, 302))
    assert.deepEqual(outlet.seqs, [])
  })
})
