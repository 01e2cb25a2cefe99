import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { openCheckpoint, parseTreeHead } from "../../../src/client/log-checkpoint.ts"
import { formatVerifierKey, isSignedBy, parseNote, parseVerifierKey } from "../../../src/client/log-note.ts"
import { LogRefused } from "../../../src/client/log-refusal.ts"
import { readState, writeState } from "../../../src/client/log-state.ts"
import { verifyConsistency, verifyInclusion } from "../../../src/client/log-tree.ts"
import { followLog } from "../../../src/client/log-verifier.ts"
import {
  cosignatureLine,
  MemoryLog,
  noteKey,
  signatureLine,
  treeHeadText
} from "../../support/log/MemoryLog.ts"
import * as naive from "../../support/log/naive-tree.ts"

const leaves = Array.from({ length: 1400 }, (_, i) => naive.leafOf(`leaf ${i}`))
const ORIGIN = "example.com/log"
const key = noteKey(ORIGIN)
const trusted = async () => ({ key: await parseVerifierKey(key.vkey) })

/** Code of the refusal; anything else fails. */
const refusal = async (outcome: Promise<unknown>): Promise<string> => {
  const error = await outcome.then(
    () => undefined,
    (cause: unknown) => cause
  )
  assert.instanceOf(error, LogRefused)
  return error.code
}

describe("a signed note", () => {
  // The example of C2SP signed-note.
  const vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
  const text = "This is an example message.\n"
  const line =
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"

  it("of the specification verifies", async () => {
    const parsed = await parseVerifierKey(vkey)
    assert.strictEqual(formatVerifierKey(parsed), vkey)
    assert.isTrue(await isSignedBy(parseNote(`${text}\n${line}`), parsed))
  })

  it("of the specification is refused when it or its key is changed", async () => {
    const parsed = await parseVerifierKey(vkey)
    assert.strictEqual(
      await refusal(isSignedBy(parseNote(`This is another message.\n\n${line}`), parsed)),
      "SIGNATURE"
    )
    for (const wrong of [vkey.replace("530d", "530e"), vkey.replace("AekyeR", "BekyeR"), `${vkey}=`, "x", ""])
      assert.strictEqual(await refusal(parseVerifierKey(wrong)), "MALFORMED", wrong)
    assert.isFalse(await isSignedBy(parseNote(`${text}\n${line.replace("foo", "bar")}`), parsed))
  })

  it("in another form is none", () => {
    for (const note of [
      text,
      `${text}\n`,
      `${text}${line}`,
      `${text}\n${line.slice(0, -1)}`,
      `${text}\n${line}\n`,
      `${text}\n${line.replace("\u2014", "-")}`,
      `${text}\n${line.replace("=", "")}`,
      `${text}\u0001\n\n${line}`,
      `${text}\n${line.replace("foo", "f+o")}`,
      `${text}\n\u2014 example.com/foo AAAA\n`
    ])
      assert.throws(() => parseNote(note), LogRefused, undefined, note)
  })

  it("may have lines of unknown keys, and more than one empty line", async () => {
    const own = noteKey("own", 7)
    const body = "a\n\nb\n"
    const note = `${body}\n${line}${signatureLine(own, body)}`
    assert.strictEqual(parseNote(note).text, body)
    assert.isTrue(await isSignedBy(parseNote(note), await parseVerifierKey(own.vkey)))
  })
})

describe("a checkpoint", () => {
  const text = treeHeadText(ORIGIN, leaves.slice(0, 5))
  const signed = `${text}\n${signatureLine(key, text)}`

  it("is read when the log's key has signed it", async () => {
    const { origin, root, size } = await openCheckpoint(signed, await trusted())
    assert.deepEqual([origin, size, Buffer.from(root)], [ORIGIN, 5, naive.rootOf(leaves.slice(0, 5))])
  })

  it("of another log, key or form is refused", async () => {
    const impostor = noteKey(ORIGIN, 9)
    const stranger = noteKey("example.com/other", 1)
    const otherText = treeHeadText("example.com/other", leaves.slice(0, 5))
    const cases: ReadonlyArray<readonly [string, string]> = [
      [`${text}\n${signatureLine(impostor, text)}`, "SIGNATURE"],
      [`${text}\n${signatureLine(stranger, text)}`, "SIGNATURE"],
      [`${otherText}\n${signatureLine(stranger, otherText)}`, "ORIGIN"],
      [`${otherText}\n${signatureLine(key, otherText)}`, "ORIGIN"],
      [signed.replace("\n5\n", "\n6\n"), "SIGNATURE"]
    ]
    for (const [note, code] of cases)
      assert.strictEqual(await refusal(openCheckpoint(note, await trusted())), code, note)
    for (const body of [
      "o\n5\n",
      "o\n05\nAAAA\n",
      "o\n-1\n",
      "\n5\nx\n",
      text.slice(0, -1),
      text.replace("\n5\n", "\n9007199254740993\n")
    ])
      assert.throws(() => parseTreeHead(body), LogRefused, undefined, body)
    assert.strictEqual(parseTreeHead(`${text}an extension\n`).size, 5)
  })

  it("needs as many cosignatures of known witnesses as asked for", async () => {
    const witnesses = [noteKey("w/1", 3, 4), noteKey("w/2", 4, 4)] as const
    const [first, second] = witnesses
    const keys = await Promise.all(witnesses.map(({ vkey }) => parseVerifierKey(vkey)))
    const trust = (quorum: number) => ({ key: keys[0]!, witnesses: keys, quorum })
    const open = async (lines: string, quorum: number) =>
      openCheckpoint(signed + lines, { ...trust(quorum), ...(await trusted()) })
    const [one, two] = [cosignatureLine(first, text, 1_679_315_147), cosignatureLine(second, text, 2)]
    assert.deepEqual((await open(one + two, 2)).witnesses, ["w/1", "w/2"])
    assert.deepEqual((await open(two, 1)).witnesses, ["w/2"])
    assert.strictEqual(await refusal(open(one, 2)), "WITNESS")
    // Of another text, of an unknown witness, or of one and the same twice.
    assert.strictEqual(await refusal(open(cosignatureLine(first, "x\n1\n", 1), 1)), "WITNESS")
    assert.strictEqual(await refusal(open(cosignatureLine(noteKey("w/3", 5, 4), text, 1), 1)), "WITNESS")
    assert.strictEqual(await refusal(open(one + one, 2)), "WITNESS")
  })
})

describe("a proof", () => {
  it("verifies for the leaf, place and tree it was made for, and for nothing else", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), async (size, n, other) => {
        const index = n % size
        const tree = leaves.slice(0, size)
        const root = naive.rootOf(tree)
        const hashes = naive.pathOf(index, tree)
        const leaf = tree[index]!
        await verifyInclusion({ index, size, hashes }, leaf, root)
        const elsewhere = other % size
        if (elsewhere !== index) {
          assert.strictEqual(
            await refusal(verifyInclusion({ index, size, hashes }, tree[elsewhere]!, root)),
            "PROOF"
          )
          assert.strictEqual(
            await refusal(verifyInclusion({ index: elsewhere, size, hashes }, leaf, root)),
            "PROOF"
          )
        }
        assert.strictEqual(await refusal(verifyInclusion({ index: size, size, hashes }, leaf, root)), "PROOF")
        const longer = [...hashes, leaf]
        assert.strictEqual(
          await refusal(verifyInclusion({ index, size, hashes: longer }, leaf, root)),
          "PROOF"
        )
        if (hashes.length > 0)
          assert.strictEqual(
            await refusal(verifyInclusion({ index, size, hashes: hashes.slice(1) }, leaf, root)),
            "PROOF"
          )
      }),
      { numRuns: 60 }
    ))

  it("of consistency verifies for its two trees, and for no others", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 300 }), fc.nat(), async (size, n) => {
        const from = 1 + (n % (size - 1))
        const treeOf = (count: number) => ({ size: count, root: naive.rootOf(leaves.slice(0, count)) })
        const [first, second] = [treeOf(from), treeOf(size)]
        const hashes = naive.proofOf(from, leaves.slice(0, size))
        await verifyConsistency(first, second, hashes)
        const forged = { ...first, root: naive.leafOf("forged") }
        assert.strictEqual(await refusal(verifyConsistency(forged, second, hashes)), "PROOF")
        assert.strictEqual(
          await refusal(verifyConsistency(first, { ...second, root: forged.root }, hashes)),
          "PROOF"
        )
        assert.strictEqual(await refusal(verifyConsistency(second, first, hashes)), "PROOF")
        assert.strictEqual(await refusal(verifyConsistency(first, second, hashes.slice(1))), "PROOF")
        assert.strictEqual(await refusal(verifyConsistency(first, second, [...hashes, forged.root])), "PROOF")
      }),
      { numRuns: 60 }
    ))

  it("of consistency is empty for equal trees and from the empty tree, and only for those", async () => {
    const tree = { size: 4, root: naive.rootOf(leaves.slice(0, 4)) }
    const none = { size: 0, root: naive.rootOf([]) }
    await verifyConsistency(tree, tree, [])
    await verifyConsistency(none, tree, [])
    assert.strictEqual(await refusal(verifyConsistency(tree, { ...tree, root: none.root }, [])), "PROOF")
    assert.strictEqual(await refusal(verifyConsistency(none, tree, [tree.root])), "PROOF")
  })
})

describe("who follows a log", () => {
  const log = (size: number, of = leaves) => new MemoryLog(key, of.slice(0, size))
  const follow = async (source: MemoryLog, remembered?: string, recheck = false) => {
    const state = remembered === undefined ? undefined : await readState(remembered)
    const followed = await followLog(source, await trusted(), { remembered: state, recheck })
    return writeState(followed.state)
  }
  /** The log with one leaf exchanged. */
  const forged = leaves.with(300, naive.leafOf("forged"))

  it("reads each leaf once, from wherever it was", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 1400 }), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (sizes, recheck) => {
          let remembered: string | undefined
          for (const size of sizes.toSorted((a, b) => a - b)) {
            const source = log(size)
            remembered = await follow(source, remembered, recheck)
            if (!recheck) assert.strictEqual(new Set(source.requested).size, source.requested.length)
          }
          assert.strictEqual(remembered, await follow(log(Math.max(...sizes))))
        }
      ),
      { numRuns: 25 }
    ))

  it("asks only for the tiles behind what is remembered", async () => {
    const remembered = await follow(log(1100))
    const source = log(1290)
    await follow(source, remembered)
    assert.deepEqual(source.requested.toSorted(), ["tile/0/004", "tile/0/005.p/10", "tile/1/000.p/5"])
  })

  it("takes the full tile where the partial one is gone", async () => {
    const whole = log(1400)
    const full = Buffer.from((await whole.tile("tile/0/004")) ?? [])
    const source = log(1100).rename("tile/0/004.p/76", "tile/0/004", full)
    assert.strictEqual(await follow(source), await follow(log(1100)))
  })

  it("refuses a log that was taken back, forked or belongs to another", async () => {
    const remembered = await follow(log(700))
    assert.strictEqual(await refusal(follow(log(699), remembered)), "REWIND")
    assert.strictEqual(await refusal(follow(log(700, forged), remembered)), "FORK")
    assert.strictEqual(await refusal(follow(log(900, forged), remembered)), "FORK")
    assert.strictEqual(await refusal(follow(log(900, forged), remembered, true)), "FORK")
    const other = new MemoryLog(noteKey("example.com/log/0a0b0c0d"), leaves.slice(0, 900))
    assert.strictEqual(await refusal(follow(other, remembered)), "ORIGIN")
    const impostor = new MemoryLog(noteKey(ORIGIN, 2), leaves.slice(0, 900))
    assert.strictEqual(await refusal(follow(impostor, remembered)), "SIGNATURE")
    const { key: stranger } = { key: await parseVerifierKey(other.key.vkey) }
    assert.strictEqual(
      await refusal(followLog(other, { key: stranger }, { remembered: await readState(remembered) })),
      "ORIGIN"
    )
  })

  it("notices every altered, short or missing tile among those it reads", async () => {
    const remembered = await follow(log(700))
    for (const path of ["tile/0/003", "tile/0/005.p/120", "tile/1/000.p/5"]) {
      assert.strictEqual(await refusal(follow(log(1400).tamper(path, 130), remembered)), "TILE", path)
      assert.strictEqual(await refusal(follow(log(1400).remove(path), remembered)), "TILE", path)
      const short = log(1400).rename(path, path, Buffer.alloc(64))
      assert.strictEqual(await refusal(follow(short, remembered)), "TILE", path)
    }
    // Not read again, unless asked to.
    await follow(log(1400).tamper("tile/0/001", 5), remembered)
    assert.strictEqual(await refusal(follow(log(1400).tamper("tile/0/001", 5), remembered, true)), "TILE")
    assert.strictEqual(await refusal(follow(log(1400).tamper("tile/0/001", 5))), "TILE")
  })

  it("does not start from a damaged state", async () => {
    const state = await follow(log(700))
    for (const damaged of [
      "",
      "{}",
      "null",
      state.replace("\\n700\\n", "\\n701\\n"),
      state.replace("A", "B")
    ])
      assert.strictEqual(await refusal(readState(damaged)), "MALFORMED", damaged)
  })
})
