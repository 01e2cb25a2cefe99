import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { idFromContent, idFromName, idWithin } from "../../../src/events/event-id.ts"

const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** The contract's formula, written down a second time. */
const expected = (...parts: ReadonlyArray<string>): string => {
  const hex = createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 32).split("")
  hex[12] = "8"
  hex[16] = ((Number.parseInt(hex[16] ?? "0", 16) & 3) | 8).toString(16)
  return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

describe("the id of an event", () => {
  it("is the UUID it carries, in lower case, whoever sends it", () => {
    for (const id of ["0198C0DE-0000-7000-8000-00000000000A", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"]) {
      assert.strictEqual(idFromName(id, "key", "src"), id.toLowerCase())
      assert.strictEqual(idFromName(id, "other", "src"), id.toLowerCase())
    }
  })

  it("is derived from any other name, nil and max UUIDs included, by reporter and source", () => {
    for (const name of [
      "x",
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "6ba7b810-9dad-91d1-80b4-00c04fd430c8",
      "6ba7b810-9dad-11d1-c0b4-00c04fd430c8",
      "6ba7b8109dad11d180b400c04fd430c8"
    ]) {
      assert.strictEqual(idFromName(name, "key", "src"), expected("aitp-cp-event:id", "key", "src", name))
    }
    const ids = [
      ["n", "k", "s"],
      ["n", "k", "t"],
      ["n", "l", "s"],
      ["m", "k", "s"]
    ].map(([n = "", k = "", s = ""]) => idFromName(n, k, s))
    assert.strictEqual(new Set(ids).size, 4)
  })

  it("is derived from the content, by reporter and by how many identical events precede it", () => {
    assert.strictEqual(
      idFromContent('{"a":1}', "key", 3),
      expected("aitp-cp-event:v1", "key", '{"a":1}', "3")
    )
    const ids = [
      idFromContent("{}", "a", 0),
      idFromContent("{}", "a", 1),
      idFromContent("{}", "b", 0),
      idFromContent("[]", "a", 0)
    ]
    assert.strictEqual(new Set(ids).size, 4)
  })

  it("is always a UUIDv8 when derived", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.nat(), (content, reporter, repeat) => {
        assert.match(idFromContent(content, reporter, repeat), UUID_V8)
        assert.match(idWithin(reporter, content), UUID_V8)
      })
    )
  })
})
