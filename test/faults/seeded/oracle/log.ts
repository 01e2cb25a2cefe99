import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { parseVerifierKey } from "../../../../src/client/log-note.ts"
import type { LogState } from "../../../../src/client/log-state.ts"
import { followLog } from "../../../../src/client/log-verifier.ts"
import { checkpointOf, leavesOf } from "../../../support/log/client.ts"
import * as naive from "../../../support/log/naive-tree.ts"
import type { Checkpoints } from "../watchers.ts"
import type { World } from "../World.ts"

/** The tile of this path; of a partial one the first hashes. */
const tileAt = (tiles: ReadonlyMap<string, Buffer>, path: string): Uint8Array<ArrayBuffer> => {
  const [, level, place, width = "256"] = /^tile\/(\d+)\/(.*?)(?:\.p\/(\d+))?$/.exec(path) ?? []
  const index = Number(place?.replaceAll(/[x/]/g, ""))
  return new Uint8Array(tiles.get(`${level}/${index}`)?.subarray(0, Number(width) * 32) ?? [])
}

/** The log is the ledger, and every checkpoint that anybody was ever shown is a prefix of it. */
export const judgeLog = (
  world: World,
  sql: SqlClient.SqlClient,
  vkey: string,
  seen: Checkpoints
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { journal, replicas } = world
    const rows = yield* sql<{
      readonly leaf: Uint8Array
    }>`select leaf_hash as leaf from audit_events order by seq`
    const leaves = rows.map(({ leaf }) => Buffer.from(leaf))
    for (const replica of replicas) {
      const served = yield* checkpointOf(replica)
      const isTree =
        served.size <= leaves.length &&
        Buffer.compare(naive.rootOf(leaves.slice(0, served.size)), served.root) === 0
      if (!isTree)
        journal.violated("the log is the tree of the ledger", `replica ${replica.name}, size ${served.size}`)
      const tiled = Buffer.concat(yield* leavesOf(replica, served.size))
      if (Buffer.compare(tiled, Buffer.concat(leaves.slice(0, served.size))) !== 0)
        journal.violated("tiles hold the leaves of the ledger", `replica ${replica.name}`)
      seen.set(served.size, served)
    }
    const trust = { key: yield* Effect.promise(() => parseVerifierKey(vkey)) }
    const tiles = naive.tilesOf(leaves)
    let state: LogState | undefined
    for (const [size, shown] of [...seen].toSorted(([a], [b]) => a - b)) {
      const source = {
        checkpoint: () => Promise.resolve(shown.note),
        tile: (path: string) => Promise.resolve(tileAt(tiles, path))
      }
      const followed = yield* Effect.result(
        Effect.tryPromise(() => followLog(source, trust, { remembered: state }))
      )
      if (followed._tag === "Failure") {
        journal.violated(
          "every checkpoint ever shown is a prefix of the log",
          `size ${size} after ${state?.head.size}: ${String(followed.failure.cause)}`
        )
        return
      }
      state = followed.success.state
    }
  })
