import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { compareEntries, entriesOf, innerText } from "../../../src/revocation/list-text.ts"
import { makeAgent } from "../../support/aitp/agent.ts"

interface Entry {
  readonly jti: string
  readonly revoked_at: number
  readonly reason?: string
}

/** Few ids, times and reasons, so that lists meet; reasons that look like the text around them. */
const entry: fc.Arbitrary<Entry> = fc.record(
  {
    jti: fc.integer({ min: 0, max: 40 }).map((n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`),
    revoked_at: fc.constantFrom(9, 10, 100, 1_700_000_000),
    reason: fc.oneof(
      fc.constantFrom("", '},{"jti":"', '],"expires_at":1', "é𝄞\u2028", '"', "\\", "\u0007:5"),
      fc.string({ unit: "grapheme", maxLength: 5 })
    )
  },
  { requiredKeys: ["jti", "revoked_at"] }
)

const list = fc
  .uniqueArray(entry, { selector: ({ jti }) => jti, maxLength: 30 })
  .map((entries) => entries.toSorted((a, b) => a.revoked_at - b.revoked_at || (a.jti < b.jti ? -1 : 1)))

const textOf = (entries: ReadonlyArray<Entry>) =>
  Buffer.from(entries.map((each) => canonicalJson(each)).join(","))

const keys = (entries: ReadonlyArray<Entry>) =>
  new Map(entries.map((each) => [canonicalJson(each), each.jti]))

const missing = (from: ReadonlyArray<Entry>, others: ReadonlyArray<Entry>) => {
  const there = keys(others)
  return [...keys(from)].flatMap(([text, jti]) => (there.has(text) ? [] : [jti])).toSorted()
}

describe("the text of a list", () => {
  it.effect("is compared entry by entry, whatever the reasons say", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(list, list, async (before, after) => {
          const found = await Effect.runPromise(compareEntries(textOf(before), textOf(after)))
          assert.strictEqual(found.count, after.length)
          assert.deepEqual([...found.added].toSorted(), missing(after, before))
          assert.deepEqual([...found.removed].toSorted(), missing(before, after))
        }),
        { numRuns: 500 }
      )
    )
  )

  it("is canonical JSON around its entries, and gives them back from a served list", () => {
    const issuer = makeAgent().aid
    fc.assert(
      fc.property(list, fc.nat(), (entries, publishedAt) => {
        const inner = Buffer.from(
          innerText(textOf(entries), { issuer, publishedAt, expiresAt: publishedAt + 61 })
        )
        assert.strictEqual(
          inner.toString(),
          canonicalJson({
            version: "aitp/0.2",
            issuer,
            published_at: publishedAt,
            expires_at: publishedAt + 61,
            entries
          })
        )
        const body = Buffer.from(`{"revocation_list":${inner.toString()},"signature":"x"}`)
        assert.deepEqual(Buffer.from(entriesOf(body) ?? "?"), textOf(entries))
      })
    )
    for (const other of ["", "{}", '{"revocation_list":{"entries":[', '{"entries":[],"expires_at":1}']) {
      assert.isUndefined(entriesOf(Buffer.from(other)))
    }
  })
})
