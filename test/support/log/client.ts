import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Checkpoint, openCheckpoint } from "../../../src/client/log-checkpoint.ts"
import { parseVerifierKey } from "../../../src/client/log-note.ts"
import { tilePath, widthIn } from "../../../src/client/log-tiles.ts"
import { type Answer, sendTo } from "../service/client.ts"
import { eventually } from "../db/eventually.ts"
import type { Hash } from "./naive-tree.ts"

/** Where a log is. */
export interface LogAt {
  readonly url: string
  readonly apiKey: string
}

const got = (log: LogAt, path: string): Effect.Effect<Answer, Error> =>
  Effect.map(sendTo(log, path), (answer) => {
    assert.strictEqual(answer.status, 200, `${path}: ${answer.text.slice(0, 200)}`)
    return answer
  })

export const vkeyOf = (log: LogAt) => Effect.map(got(log, "/log/key"), ({ text }) => text.trim())

/** The served checkpoint, its signature verified. */
export const checkpointOf = (log: LogAt): Effect.Effect<Checkpoint, Error> =>
  Effect.gen(function* () {
    const vkey = yield* vkeyOf(log)
    const { text } = yield* got(log, "/log/checkpoint")
    return yield* Effect.promise(async () => openCheckpoint(text, { key: await parseVerifierKey(vkey) }))
  })

/** Waits until the log has so many leaves. */
export const logOf = (log: LogAt, size: number) =>
  eventually(checkpointOf(log), (checkpoint) => checkpoint.size >= size)

/** All leaf hashes of a tree, from its tiles. */
export const leavesOf = (log: LogAt, size: number): Effect.Effect<ReadonlyArray<Hash>, Error> =>
  Effect.gen(function* () {
    const leaves: Array<Hash> = []
    for (let index = 0; leaves.length < size; index += 1) {
      const { bytes } = yield* got(
        log,
        `/log/${tilePath({ level: 0, index, width: widthIn(size, 0, index) })}`
      )
      for (let at = 0; at < bytes.length; at += 32) leaves.push(bytes.subarray(at, at + 32))
    }
    assert.strictEqual(leaves.length, size)
    return leaves
  })
