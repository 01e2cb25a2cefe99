import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { EMPTY_ROOT, joinedRoot } from "../../../src/log/merkle.ts"
import {
  consistencyPath,
  inclusionPath,
  type Range,
  sliceRoot,
  slicesOf,
  tilesFor
} from "../../../src/log/proof.ts"
import { type Tile, widthIn } from "../../../src/client/log-tiles.ts"
import { edgeOf, parseTile } from "../../../src/log/tile.ts"
import { type StoredTile, TreeEdge } from "../../../src/log/TreeEdge.ts"
import * as naive from "../../support/log/naive-tree.ts"

const leavesUpTo = (n: number) => Array.from({ length: n }, (_, i) => naive.leafOf(`entry ${i}`))
const all = leavesUpTo(70_000)

/** Tiles as a store keeps them: the newest state of each. */
class Store {
  readonly tiles = new Map<string, Uint8Array>()
  put(tiles: ReadonlyArray<StoredTile>): void {
    for (const { hashes, index, level } of tiles) {
      const known = this.tiles.get(`${level}/${index}`)
      // a tile only ever grows at its end
      if (known !== undefined)
        assert.strictEqual(Buffer.compare(Buffer.from(hashes).subarray(0, known.length), known), 0)
      this.tiles.set(`${level}/${index}`, hashes)
    }
  }
  readonly find = (level: number, index: number) => this.tiles.get(`${level}/${index}`)
}

/** Appends the leaves in chunks of these sizes. */
const build = (count: number, chunks: ReadonlyArray<number>) => {
  const store = new Store()
  let edge = TreeEdge.empty
  for (let at = 0, turn = 0; edge.size < count; turn += 1) {
    const size = Math.min(chunks[turn % chunks.length] ?? 1, count - at)
    const next = edge.append(Buffer.concat(all.slice(at, at + size)))
    store.put(next.tiles)
    at += size
    // A replica that takes over reads the edge from the store.
    edge = turn % 3 === 2 ? (TreeEdge.of(at, store.find) ?? TreeEdge.empty) : next.edge
    assert.strictEqual(edge.size, at)
  }
  return { edge, store }
}

const hex = (hashes: Iterable<Uint8Array>) => Array.from(hashes, (hash) => Buffer.from(hash).toString("hex"))

describe("the tree", () => {
  it("of nothing has the root of RFC 6962", () => {
    assert.deepEqual(hex([TreeEdge.empty.root(), EMPTY_ROOT]), hex([naive.rootOf([]), naive.rootOf([])]))
  })

  it("has the root that the definition gives, at every size", () => {
    for (let size = 0; size <= 300; size += 1) {
      const { edge } = TreeEdge.empty.append(Buffer.concat(all.slice(0, size)))
      assert.deepEqual(hex([edge.root()]), hex([naive.rootOf(all.slice(0, size))]), `size ${size}`)
    }
  })

  it("is the same, tile by tile, however the leaves are grouped", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1500 }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }),
        (count, chunks) => {
          const { edge, store } = build(count, chunks)
          const leaves = all.slice(0, count)
          assert.deepEqual(hex([edge.root()]), hex([naive.rootOf(leaves)]))
          const wanted = naive.tilesOf(leaves)
          assert.deepEqual([...store.tiles.keys()].toSorted(), [...wanted.keys()].toSorted())
          for (const [place, hashes] of wanted)
            assert.strictEqual(Buffer.compare(store.tiles.get(place) ?? Buffer.alloc(0), hashes), 0, place)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("has three levels of tiles at 70,000 leaves, as in the specification's example", () => {
    const { edge, store } = build(70_000, [65_000, 1, 255, 3000])
    assert.deepEqual(edgeOf(70_000), [
      { level: 0, index: 273, width: 112 },
      { level: 1, index: 1, width: 17 },
      { level: 2, index: 0, width: 1 }
    ])
    assert.strictEqual(store.tiles.size, 274 + 2 + 1)
    const wanted = naive.tilesOf(all)
    for (const [place, hashes] of wanted)
      assert.strictEqual(Buffer.compare(store.tiles.get(place) ?? Buffer.alloc(0), hashes), 0, place)
    assert.deepEqual(hex([edge.root()]), hex([naive.rootOf(all)]))
  })

  it("cannot be continued from tiles that are missing or too short", () => {
    const { store } = build(700, [700])
    assert.isUndefined(TreeEdge.of(701, store.find))
    assert.isUndefined(
      TreeEdge.of(700, (level, index) => (level === 1 ? undefined : store.find(level, index)))
    )
    assert.isDefined(TreeEdge.of(512, store.find))
  })
})

describe("a proof", () => {
  const { store } = build(1300, [450])
  /** Only the tiles that the plan names. */
  const planned = (ranges: ReadonlyArray<Range>, size: number) => {
    const tiles = new Map(
      tilesFor(ranges.flatMap(slicesOf)).map(({ index, level }) => {
        const width = widthIn(size, level, index)
        return [`${level}/${index}`, store.find(level, index)?.subarray(0, width * 32)]
      })
    )
    const find = (level: number, index: number) => tiles.get(`${level}/${index}`)
    return ranges.map((range) => joinedRoot(slicesOf(range).map((slice) => sliceRoot(slice, find))))
  }

  it("of inclusion is the definition's, for every leaf of some sizes and some leaves of every size", () => {
    const check = (index: number, size: number) =>
      assert.deepEqual(
        hex(planned(inclusionPath(index, size), size)),
        hex(naive.pathOf(index, all.slice(0, size))),
        `${index} in ${size}`
      )
    for (const size of [1, 2, 7, 8, 13, 64, 65]) for (let i = 0; i < size; i += 1) check(i, size)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1300 }), fc.nat(), (size, n) => check(n % size, size)),
      { numRuns: 100 }
    )
  })

  it("of consistency is the definition's", () => {
    const check = (from: number, to: number) =>
      assert.deepEqual(
        hex(planned(consistencyPath(from, to), to)),
        hex(naive.proofOf(from, all.slice(0, to))),
        `${from} to ${to}`
      )
    for (let to = 1; to <= 40; to += 1) for (let from = 1; from <= to; from += 1) check(from, to)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1300 }), fc.nat(), (to, n) => check(1 + (n % to), to)),
      { numRuns: 150 }
    )
    assert.deepEqual(consistencyPath(0, 5), [])
  })

  it("refuses to be computed from a tile that is too short", () => {
    const path = inclusionPath(3, 1300)
    const short = (level: number, index: number) => store.find(level, index)?.subarray(0, 64)
    assert.throws(() =>
      path.map((range) => joinedRoot(slicesOf(range).map((slice) => sliceRoot(slice, short))))
    )
  })
})

describe("the path of a tile", () => {
  const cases: ReadonlyArray<readonly [string, Tile | undefined]> = [
    ["0/000", { level: 0, index: 0, width: 256 }],
    ["0/067", { level: 0, index: 67, width: 256 }],
    ["1/x001/x234/067", { level: 1, index: 1_234_067, width: 256 }],
    ["63/x001/000.p/1", { level: 63, index: 1000, width: 1 }],
    ["0/000.p/255", { level: 0, index: 0, width: 255 }],
    ["0/000.p/256", undefined],
    ["0/000.p/0", undefined],
    ["0/000.p/01", undefined],
    ["0/000.p/", undefined],
    ["0/x000/001", undefined],
    ["0/001/000", undefined],
    ["0/x001/x000", undefined],
    ["0/1", undefined],
    ["0/0000", undefined],
    ["64/000", undefined],
    ["00/000", undefined],
    ["-1/000", undefined],
    ["x/000", undefined],
    ["0/", undefined],
    ["0/x999/x999/x999/x999/x999/999", undefined]
  ]

  it("is read in the one spelling it has", () => {
    for (const [path, tile] of cases) {
      const [level = "", ...place] = path.split("/")
      assert.deepEqual(parseTile(level, place.join("/")), tile, path)
    }
  })

  it("says how much of it a tree of some size has", () => {
    assert.deepEqual(
      [widthIn(70_000, 0, 272), widthIn(70_000, 0, 273), widthIn(70_000, 0, 274), widthIn(70_000, 2, 0)],
      [256, 112, 0, 1]
    )
    assert.deepEqual([widthIn(256, 0, 0), widthIn(256, 1, 0), widthIn(255, 1, 0)], [256, 1, 0])
  })
})
