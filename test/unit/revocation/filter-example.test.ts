import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { decodeSet } from "../../../src/client/golomb.ts"
import { setOf } from "../../../src/revocation/filter-job.ts"
import { type Entry } from "../../support/revocation-feeds/histories.ts"
import { positionOf } from "../../support/revocation-feeds/positions.ts"

const page = readFileSync(new URL("../../../docs/revocation-feeds.md", import.meta.url), "utf8")

/** What stands behind a label of the example. */
const row = (label: string): string => {
  const found = new RegExp(`^${label} +(.+)$`, "m").exec(page)?.[1]
  assert.isDefined(found, label)
  return found
}

const numbers = (label: string): ReadonlyArray<number> =>
  row(label)
    .replace(/each.*/, "")
    .trim()
    .split(/ +/)
    .map(Number)

describe("the example in the description of the filter", () => {
  const entries = JSON.parse(row("entries")) as ReadonlyArray<Entry>
  const key = Buffer.from(row("K"), "hex")

  it("has the digest of its entries for a key", () => {
    assert.strictEqual(row("entries"), canonicalJson(entries))
    assert.strictEqual(createHash("sha256").update(row("entries")).digest("hex"), row("K"))
  })

  it("places its ids as the text says", () => {
    const positions = entries.map(({ jti }) => positionOf(key, jti, entries.length))
    assert.deepEqual(numbers("positions"), positions)
    assert.deepEqual(
      numbers("ascending"),
      positions.toSorted((a, b) => a - b)
    )
    assert.deepEqual(
      numbers("difference"),
      numbers("ascending").map((value, index, all) => value - (all[index - 1] ?? 0))
    )
  })

  it("is coded as the service codes it, and read as the client reads it", () => {
    const coded = setOf({ text: Buffer.from(row("entries").slice(1, -1)), sha256: key })
    assert.strictEqual(Buffer.from(coded).toString("hex"), row("hex"))
    assert.strictEqual(Buffer.from(coded).toString("base64url"), row("data"))
    assert.strictEqual(
      [...coded].map((byte) => byte.toString(2).padStart(8, "0")).join(""),
      row("bits").replaceAll(" ", "")
    )
    assert.deepEqual([...(decodeSet(coded, 3, 3 * 2 ** 20) ?? [])], numbers("ascending"))
  })
})
