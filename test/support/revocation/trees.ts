import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { report } from "../projections/ledger.ts"

/** A reported delegation. */
export const delegation = (jti: string, parent: string) => ({
  type: "delegation.issued",
  payload: { jti, parent_jti: parent, delegator: "a", delegatee: "b", scope: ["x"] }
})

/** A tree of `levels` × `width` delegations below `root`; every node of a level has its parent in the one above. */
export const tree = (root: string, levels: number, width: number) => {
  const nodes: Array<{ readonly jti: string; readonly parent: string }> = []
  let above = [root]
  for (let level = 0; level < levels; level += 1) {
    const here = Array.from({ length: width }, () => randomUUID() as string)
    here.forEach((jti, n) => nodes.push({ jti, parent: above[n % above.length] ?? root }))
    above = here
  }
  return nodes
}

/** Reports these delegations, in their order. */
export const reportTree = Effect.fnUntraced(function* (
  nodes: ReadonlyArray<{ readonly jti: string; readonly parent: string }>
) {
  for (let from = 0; from < nodes.length; from += 500) {
    yield* report(nodes.slice(from, from + 500).map(({ jti, parent }) => delegation(jti, parent)))
  }
})
