import { hashChildren, type Hash, HASH_BYTES, perfectRoot } from "./log-tree.ts"
import { sha256 } from "./sha256.ts"
import { TILE_WIDTH } from "./log-tiles.ts"

/** Root of a perfect subtree. */
export interface TreeNode {
  /** Its leaves are 2^height. */
  readonly height: number
  /** Place among those of this height, from 0. */
  readonly index: number
  readonly hash: Hash
}

/**
 * A tree from its first leaf on, of which only the roots of its perfect subtrees are kept: enough to extend it and to
 * compute its root. Never changes.
 */
export class TreeRange {
  readonly size: number
  /** From left to right, one for each bit of the size. */
  readonly roots: ReadonlyArray<Hash>

  private constructor(size: number, roots: ReadonlyArray<Hash>) {
    this.size = size
    this.roots = roots
  }

  static readonly empty = new TreeRange(0, [])

  /** Undefined unless there are as many roots as a tree of this size has. */
  static of(size: number, roots: ReadonlyArray<Hash>): TreeRange | undefined {
    let ones = 0
    for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2
    return ones === roots.length ? new TreeRange(size, roots) : undefined
  }

  async root(): Promise<Hash> {
    let root = this.roots.at(-1)
    if (root === undefined) return sha256("")
    for (const left of this.roots.slice(0, -1).toReversed()) root = await hashChildren(left, root)
    return root
  }

  /** The tree with further leaf hashes; `completed` is told of every larger subtree that these complete. */
  async append(leaves: Uint8Array, completed: (node: TreeNode) => void): Promise<TreeRange> {
    const roots = [...this.roots]
    let size = this.size
    for (let at = 0; at < leaves.length;) {
      const left = (leaves.length - at) / HASH_BYTES
      // The largest perfect subtree that can begin here.
      let [height, width] = [0, 1]
      while (width < TILE_WIDTH && size % (2 * width) === 0 && 2 * width <= left)
        [height, width] = [height + 1, 2 * width]
      const block = Array.from({ length: width }, (_, n) =>
        leaves.slice(at + n * HASH_BYTES, at + (n + 1) * HASH_BYTES)
      )
      let hash = await perfectRoot(block)
      completed({ height, index: size / width, hash })
      size += width
      at += width * HASH_BYTES
      for (; Math.floor(size / width) % 2 === 0; width *= 2) {
        hash = await hashChildren(roots.pop()!, hash) // every smaller bit of the size had a root
        height += 1
        completed({ height, index: size / (2 * width) - 1, hash })
      }
      roots.push(hash)
    }
    return new TreeRange(size, roots)
  }
}
