import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { attempt, send, sendFor } from "./client.ts"
import { startPlain, storedOf } from "./limits.ts"
import { BenchError, type Workload } from "./model.ts"
import { freshDatabase } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { Rig } from "./Rig.ts"
import { startService } from "./service.ts"
import { Timings } from "./statistics.ts"

const LEVELS = 100
const WIDTH = 50
const BATCH = 500
const WARM = 10
/** The same instant for all, so that the order is that of the ids. */
const ISSUED_AT = 1_767_225_600

interface Node {
  readonly jti: string
  readonly parent: string
  readonly depth: number
}

/** A tree below a TCT; each node of a level has its parent in the one above. */
const treeBelow = (root: string): ReadonlyArray<Node> => {
  const nodes: Array<Node> = []
  let above = [root]
  for (let depth = 1; depth <= LEVELS; depth += 1) {
    const here = Array.from({ length: WIDTH }, () => randomUUID() as string)
    here.forEach((jti, n) => nodes.push({ jti, parent: above[n % above.length] ?? root, depth }))
    above = here
  }
  return nodes
}

const event = ({ jti, parent }: Node) => ({
  type: "delegation.issued",
  source: "bench",
  payload: {
    jti,
    parent_jti: parent,
    delegator_aid: `agent-${parent.slice(0, 4)}`,
    delegatee_aid: `agent-${jti.slice(0, 4)}`,
    scope: ["a.b", "a.c"],
    iat: ISSUED_AT,
    exp: ISSUED_AT + 86_400 * 365
  }
})

interface Tree {
  readonly delegations: ReadonlyArray<{
    readonly jti: string
    readonly parentJti: string
    readonly depth: number
  }>
  readonly count: number
  readonly truncated?: boolean
}

/** Whether an answer has every node, in order, with its parent and depth. */
const isRight = (text: string, nodes: ReadonlyArray<Node>): boolean => {
  const { count, delegations, truncated } = JSON.parse(text) as Tree
  const expected = nodes.toSorted((a, b) => (a.jti < b.jti ? -1 : 1))
  return (
    count === nodes.length &&
    truncated !== true &&
    delegations.length === nodes.length &&
    delegations.every(({ depth, jti, parentJti }, i) => {
      const node = expected[i]
      return jti === node?.jti && parentJti === node.parent && depth === node.depth
    })
  )
}

/** The same request, one after the other; every answer must be this text. */
const ask = Effect.fnUntraced(function* (url: string, known: string, seconds: number) {
  const timings = new Timings()
  for (let warming = 0; warming < WARM; warming += 1) yield* attempt(() => sendFor(200, "GET", url))
  const begun = performance.now()
  while (performance.now() - begun < seconds * 1000) {
    const sent = performance.now()
    const text = yield* attempt(() => sendFor(200, "GET", url))
    timings.record(performance.now() - sent)
    if (text !== known) return yield* Effect.fail(new BenchError(`${url} answered something else`))
  }
  return timings.summary()
})

export const delegationTree: Workload = {
  id: "W10",
  title: `Delegation tree of ${LEVELS} levels by ${WIDTH} nodes`,
  run: Effect.gen(function* () {
    const { note, seconds } = yield* Rig
    const { url } = yield* startService(yield* freshDatabase)
    const root = randomUUID()
    const nodes = treeBelow(root)
    note("reporting it")
    for (let from = 0; from < nodes.length; from += BATCH) {
      const body = JSON.stringify(nodes.slice(from, from + BATCH).map(event))
      yield* attempt(() => sendFor(200, "POST", `${url}/api/events`, { body }))
    }
    const tree = `${url}/api/delegations?root_jti=${root}`
    const reply = yield* attempt(() => send("GET", tree))
    if (reply.status !== 200 || !isRight(reply.body, nodes))
      return yield* Effect.fail(
        new BenchError(`the tree is wrong: ${reply.status} ${reply.body.slice(0, 300)}`)
      )
    const plain = yield* startPlain({ "/tree": storedOf(reply) })
    note("reading it")
    const latency = yield* ask(tree, reply.body, seconds)
    note("the same bytes from node:http")
    const bare = yield* ask(`${plain.url}/tree`, reply.body, seconds)
    return [
      {
        what: `median of the whole tree, ${(Buffer.byteLength(reply.body) / 2 ** 20).toFixed(1)} MiB, one connection`,
        value: latency.p50,
        unit: "ms",
        limit: { what: "the same bytes from `node:http`", value: bare.p50 },
        target: { kind: "at most", value: 40 },
        detail: `${latency.count} answers, ${percentiles(latency)}`
      }
    ]
  })
}
