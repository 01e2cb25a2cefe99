import { assert, describe, it } from "@effect/vitest"
import { RFC9162 } from "@transmute/rfc9162"
import { EMPTY_ROOT, joinedRoot } from "../../../src/log/merkle.ts"
import { consistencyPath, inclusionPath, type Range, sliceRoot, slicesOf } from "../../../src/log/proof.ts"
import { type StoredTile, TreeEdge } from "../../../src/log/TreeEdge.ts"
import * as naive from "../../support/log/naive-tree.ts"

/** Roots of the first n entries as the tests of Certificate Transparency's own implementations have them. */
const REFERENCE_ENTRIES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f"
]
const REFERENCE_ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
]

const grown = (entries: ReadonlyArray<Uint8Array>) => {
  const tiles = new Map<string, Uint8Array>()
  const put = ({ hashes, index, level }: StoredTile) => void tiles.set(`${level}/${index}`, hashes)
  const { edge, tiles: changed } = TreeEdge.empty.append(Buffer.concat(entries.map(naive.leafOf)))
  for (const tile of changed) put(tile)
  const find = (level: number, index: number) => tiles.get(`${level}/${index}`)
  const rootOf = (range: Range) =>
    new Uint8Array(joinedRoot(slicesOf(range).map((slice) => sliceRoot(slice, find))))
  return { edge, rootOf }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describe("the tree and its proofs", () => {
  it("are those of Certificate Transparency", () => {
    const entries = REFERENCE_ENTRIES.map((entry) => Buffer.from(entry, "hex"))
    for (const [size, root] of REFERENCE_ROOTS.entries()) {
      assert.strictEqual(hex(grown(entries.slice(0, size)).edge.root()), root, `${size} entries`)
    }
    assert.strictEqual(hex(EMPTY_ROOT), REFERENCE_ROOTS[0])
  })

  it("are accepted by another implementation, which makes the same", async () => {
    const entries = Array.from({ length: 300 }, (_, i) => new Uint8Array(Buffer.from(`entry ${i}`)))
    for (const size of [1, 2, 3, 7, 8, 13, 64, 255, 256, 257, 300]) {
      const tree = entries.slice(0, size)
      const { edge, rootOf } = grown(tree)
      const root = await RFC9162.treeHead(tree)
      assert.strictEqual(hex(edge.root()), hex(root))
      for (const index of new Set([0, 1, size >> 1, size - 1].filter((index) => index < size))) {
        const path = inclusionPath(index, size).map(rootOf)
        assert.deepEqual(path.map(hex), (await RFC9162.PATH(index, tree)).map(hex))
        const proof = { log_id: "", tree_size: size, leaf_index: index, inclusion_path: path }
        const leafOf = (at: number) => RFC9162.leaf(entries[at] ?? new Uint8Array(0))
        assert.isTrue(await RFC9162.verifyInclusionProof(root, await leafOf(index), proof))
        assert.isFalse(await RFC9162.verifyInclusionProof(root, await leafOf(index + 1), proof))
      }
    }
  })

  it("of consistency are accepted by another implementation", async () => {
    const entries = Array.from({ length: 70 }, (_, i) => new Uint8Array(Buffer.from(`entry ${i}`)))
    const { rootOf } = grown(entries)
    for (const [from, to] of [
      [1, 2],
      [3, 7],
      [4, 7],
      [6, 8],
      [8, 9],
      [33, 64],
      [64, 65],
      [63, 70],
      [69, 70]
    ] as const) {
      const [first, second] = [
        await RFC9162.treeHead(entries.slice(0, from)),
        await RFC9162.treeHead(entries.slice(0, to))
      ]
      const path = consistencyPath(from, to).map(rootOf)
      // It leaves the second step of RFC 9162 §2.1.4.2 to the caller: a first tree of 2^n leaves stands before its proof.
      const isPerfect = (from & (from - 1)) === 0
      const consistency_path = isPerfect ? [first, ...path] : path
      const proof = { log_id: "", tree_size_1: from, tree_size_2: to, consistency_path }
      assert.isTrue(await RFC9162.verifyConsistencyProof(first, second, proof), `${from} to ${to}`)
      assert.isFalse(await RFC9162.verifyConsistencyProof(second, first, proof))
    }
  })
})
