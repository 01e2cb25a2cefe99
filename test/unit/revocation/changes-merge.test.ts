import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { applyRevocationDelta } from "../../../src/client/revocation-delta.ts"
import { readRevocationList } from "../../../src/client/revocation-list.ts"
import { digestBefore } from "../../../src/revocation/changes-digest.ts"
import { type Change, mergeChanges } from "../../../src/revocation/changes-merge.ts"
import { digestOfEntries, IndexedEntries } from "../../../src/revocation/feed-entries.ts"
import { common, digestOf, listText, publisher } from "../../support/revocation-feeds/documents.ts"
import {
  type Entry,
  followed,
  type History,
  inOrder,
  jtiOf
} from "../../support/revocation-feeds/histories.ts"

const cp = publisher("changes")

/** The text of the entries as the service cuts it out of a list, indexed. */
const indexed = (entries: ReadonlyArray<Entry>): IndexedEntries => {
  const text = Buffer.from(canonicalJson(entries).slice(1, -1))
  const steps = IndexedEntries.build(text, digestOfEntries(text))
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

const changesBetween = ({ changes }: History, from: number, to: number): ReadonlyArray<Change> =>
  changes.filter(({ version }) => version > from && version <= to)

const deltaText = (history: History, from: number, to: number): string => {
  const merged = mergeChanges(changesBetween(history, from, to))
  const entries = indexed(history.versions[to] ?? [])
  return cp.sign("revocation_delta", {
    ...common(cp, to),
    from,
    to,
    prev_sha256: digestBefore(entries, merged)?.toString("base64url") ?? "",
    entries_sha256: entries.sha256.toString("base64url"),
    added: merged.added,
    removed: merged.removed.map(({ jti }) => jti).toSorted()
  })
}

const plus = (jti: string, revokedAt: number, reason: string | null = null): Change => ({
  jti,
  op: "+",
  revokedAt,
  reason
})
const minus = (jti: string, revokedAt: number): Change => ({ jti, op: "-", revokedAt, reason: null })

describe("changes of the list", () => {
  it("lead from any version to any later one, over any versions between, to the bytes of the full list", async () => {
    await fc.assert(
      fc.asyncProperty(followed, async ({ asked, history }) => {
        const [start = 0, ...later] = asked
        let held = await readRevocationList(listText(cp, start, history.versions[start] ?? []), cp.aid)
        for (const version of later) {
          held = await applyRevocationDelta(held, deltaText(history, held.version ?? start, version))
          assert.strictEqual(
            canonicalJson(inOrder(held.entries.values())),
            canonicalJson(history.versions[version])
          )
        }
      }),
      { numRuns: 300 }
    )
  })

  it("give the digest of the entries they started from", () => {
    fc.assert(
      fc.property(followed, ({ asked: [from = 0], history }) => {
        const to = history.versions.length - 1
        const before = digestBefore(
          indexed(history.versions[to] ?? []),
          mergeChanges(changesBetween(history, from, to))
        )
        assert.strictEqual(before?.toString("base64url"), digestOf(history.versions[from] ?? []))
      }),
      { numRuns: 500 }
    )
  })

  it("are recognised when they cannot have led to the list", () => {
    const a = { jti: jtiOf(1), revoked_at: 5 }
    const b = { jti: jtiOf(2), revoked_at: 6, reason: "x" }
    const before = (added: ReadonlyArray<Entry>, removed: ReadonlyArray<Entry>) =>
      digestBefore(indexed([a, b]), { added, removed })?.toString("base64url")
    assert.strictEqual(before([b], []), digestOf([a]))
    assert.strictEqual(before([a, b], []), digestOf([]))
    assert.strictEqual(before([b], [{ ...b, revoked_at: 4 }]), digestOf([{ ...b, revoked_at: 4 }, a]))
    assert.isUndefined(before([{ jti: jtiOf(3), revoked_at: 5 }], []))
    assert.isUndefined(before([{ ...b, revoked_at: 7 }], []))
    assert.isUndefined(before([{ jti: b.jti, revoked_at: 6 }], []))
    assert.isUndefined(before([], [a]))
  })

  it("never mention an entry that came and went, and mention one that went and came back twice", () => {
    assert.deepEqual(mergeChanges([plus("a", 1), minus("a", 1)]), { added: [], removed: [] })
    assert.deepEqual(mergeChanges([minus("a", 1), plus("a", 2, "again")]), {
      added: [{ jti: "a", revoked_at: 2, reason: "again" }],
      removed: [{ jti: "a", revoked_at: 1 }]
    })
    assert.deepEqual(mergeChanges([plus("a", 1), minus("a", 1), plus("a", 2)]).added, [
      { jti: "a", revoked_at: 2 }
    ])
    assert.deepEqual(mergeChanges([minus("a", 1), plus("a", 2), minus("a", 2)]), {
      added: [],
      removed: [{ jti: "a", revoked_at: 1 }]
    })
  })

  it("come in the order of the list", () => {
    const { added, removed } = mergeChanges([
      plus("c", 2),
      plus("b", 2),
      plus("a", 3),
      minus("y", 2),
      minus("x", 2),
      minus("z", 1)
    ])
    assert.deepEqual(
      added.map(({ jti }) => jti),
      ["b", "c", "a"]
    )
    assert.deepEqual(
      removed.map(({ jti }) => jti),
      ["z", "x", "y"]
    )
  })
})

describe("entries of a list", () => {
  it("are found by id, whatever their reasons hold", () => {
    fc.assert(
      fc.property(followed, ({ history }) => {
        const list = history.versions.at(-1) ?? []
        const entries = indexed(list)
        assert.strictEqual(entries.size, list.length)
        assert.strictEqual(entries.sha256.toString("base64url"), digestOf(list))
        for (let n = 0; n <= 12; n += 1) {
          assert.deepEqual(
            entries.find(jtiOf(n)),
            list.find(({ jti }) => jti === jtiOf(n))
          )
        }
      })
    )
  })
})
