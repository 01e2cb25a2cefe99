import { assert, describe, it } from "@effect/vitest"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { leafEntryText } from "../../../src/events/leaf.ts"
import { normaliseBatch } from "../../../src/events/normalise.ts"
import { mayNeedCleaning } from "../../../src/events/sanitise.ts"
import * as fc from "fast-check"

/** The two bytes before an entry of a tlog-tiles bundle can say no more. */
const MAX_ENTRY_BYTES = 65_535

const uuid = "ffffffff-ffff-8fff-bfff-ffffffffffff"
const hash = new Uint8Array(32)

const batchOf = (item: object) => {
  const text = JSON.stringify([item])
  return normaliseBatch(JSON.parse(text), {
    reporter: "key",
    receivedAt: Date.UTC(9999, 0),
    mayBeUnclean: mayNeedCleaning(text),
    newId: () => uuid
  })
}

/** Bytes of the leaf entry of an item in the worst surroundings; undefined when it is dropped. */
const entryBytes = (item: object): number | undefined => {
  const [event] = batchOf(item).events
  if (event === undefined) return undefined
  const entry = leafEntryText({
    ...event,
    log: 32_767,
    id: uuid,
    receivedAt: Date.UTC(9999, 0),
    reportedBy: `agent:aid:pubkey:ed25519:${"x".repeat(43)}`,
    // of the namespace and of either party
    orgIds: [uuid, uuid, uuid],
    agentId: uuid,
    outcome: "x".repeat(128),
    payloadHash: hash,
    artifactsHash: hash
  })
  return Buffer.byteLength(entry)
}

/** What takes the most bytes in some way: escapes, quotes, several bytes, replaced, and tokens whose stand-in is longer. */
const token = `${encodeBase64url(Buffer.from('{"alg":1}'))}.e30.A`
const units = ["\u0001", "\u0000", "\ud800", '"', "\\", "ü", "語", "😀", "a", `${token} `]

/** Text of at most `limit` code points that repeats one of these. */
const text = (limit: number) =>
  fc
    .tuple(fc.constantFrom(...units), fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })))
    .map(([unit, share]) => unit.repeat(Math.floor((limit * share) / [...unit].length)))

const item = fc.record({
  type: text(128),
  source: text(128),
  namespace: text(128),
  aidA: text(512),
  aidB: text(512),
  sessionId: text(255),
  runId: text(255),
  grants: fc.oneof(
    fc.array(text(20_000), { maxLength: 4 }),
    fc
      .tuple(text(20), fc.integer({ min: 1, max: 20_000 }))
      .map(([grant, n]) => Array.from({ length: n }, () => grant))
  )
})

describe("the leaf entry of a reported event", () => {
  it("fits into a record of an entry bundle, whatever was reported", () => {
    fc.assert(
      fc.property(item, (reported) => {
        const bytes = entryBytes(reported)
        return bytes === undefined || bytes <= MAX_ENTRY_BYTES
      }),
      { numRuns: 300 }
    )
  })

  const longest = {
    type: "\u0001".repeat(128),
    source: "\u0001".repeat(128),
    namespace: "\u0001".repeat(128),
    aidA: "\u0001".repeat(512),
    aidB: "\u0001".repeat(512),
    sessionId: "\u0001".repeat(255),
    runId: "\u0001".repeat(255)
  }
  /** 49,152 bytes of JSON. */
  const largest = [`${"\u0001".repeat(8191)}aa`]

  it("fits when every member is as large as it may be", () => {
    assert.strictEqual(Buffer.byteLength(JSON.stringify(largest)), 49_152)
    const bytes = entryBytes({ ...longest, grants: largest }) ?? 0
    assert.isAtMost(bytes, MAX_ENTRY_BYTES)
    assert.isAbove(bytes, 60_000)
  })

  it("is not made of grants of one byte more: the item is dropped, and told why", () => {
    const tooLarge = [`${largest[0]}a`]
    assert.lengthOf(batchOf({ grants: largest }).events, 1)
    const { dropped, events } = batchOf({ grants: tooLarge })
    assert.lengthOf(events, 0)
    assert.deepEqual(dropped, [{ index: 0, field: "grants", reason: "larger than 49152 bytes" }])
    assert.lengthOf(batchOf({ grants: [...tooLarge, 1] }).events, 1)
  })
})
