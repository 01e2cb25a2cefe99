import { Effect } from "effect"
import { type Checkpoint, openCheckpoint } from "../../../src/client/log-checkpoint.ts"
import { parseVerifierKey } from "../../../src/client/log-note.ts"
import type { Replica } from "../../support/faults/Replica.ts"
import { LIST } from "../../support/service/revocations.ts"
import { listFault, type SignedList } from "../../support/service/verify-list.ts"
import { ask, type World } from "./World.ts"

/** Every checkpoint of the log that anybody was shown, by its size. */
export type Checkpoints = Map<number, Checkpoint>

/** Looks at the checkpoint of one replica: signed, never smaller in one life, and the only one of its size. */
export const checkpointWatcher = (world: World, replica: Replica, vkey: string, seen: Checkpoints) => {
  let last = { life: 0, size: 0 }
  return Effect.gen(function* () {
    const { life } = replica
    const answer = yield* ask(world, replica, "/log/checkpoint", {})
    if (answer?.status !== 200) return
    const checkpoint = yield* Effect.promise(async () =>
      openCheckpoint(answer.text, { key: await parseVerifierKey(vkey) })
    )
    const { size } = checkpoint
    const evidence = `replica ${replica.name} showed size ${size}`
    if (last.life === life && size < last.size)
      world.journal.violated("the log a replica shows never shrinks", `${evidence} after ${last.size}`)
    last = { life, size }
    const known = seen.get(size)
    if (known === undefined) seen.set(size, checkpoint)
    else if (Buffer.compare(known.root, checkpoint.root) !== 0)
      world.journal.violated("there is one tree of each size", `${evidence} with two roots`)
  })
}

/** Looks at the revocation list of one replica: signed, and nothing on it is ever lifted. */
export const listWatcher = (world: World, replica: Replica) => {
  let last: { life: number; publishedAt: number; jtis: ReadonlySet<string> } = {
    life: 0,
    publishedAt: 0,
    jtis: new Set()
  }
  return Effect.gen(function* () {
    const { life } = replica
    const answer = yield* ask(world, replica, LIST, {})
    if (answer?.status !== 200) return
    const fault = listFault(answer.text)
    if (fault !== undefined) world.journal.violated("every served list verifies", fault)
    const { entries, published_at: publishedAt } = answer.json<SignedList>().revocation_list
    const jtis = new Set(entries.map(({ jti }) => jti))
    if (last.life === life) {
      const lifted = [...last.jtis].filter((jti) => !jtis.has(jti))
      if (lifted.length > 0 || publishedAt < last.publishedAt)
        world.journal.violated(
          "a replica never goes back to an older list",
          `replica ${replica.name} served ${publishedAt} after ${last.publishedAt}, without ${lifted.join(" ")}`
        )
    }
    last = { life, publishedAt, jtis }
  })
}
