import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Random, Scope } from "effect"
import { type Checkpoint, openCheckpoint } from "../../src/client/log-checkpoint.ts"
import { parseVerifierKey } from "../../src/client/log-note.ts"
import type { LogState } from "../../src/client/log-state.ts"
import { followLog } from "../../src/client/log-verifier.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { leavesOf, logOf, vkeyOf } from "../support/log/client.ts"
import * as naive from "../support/log/naive-tree.ts"
import { sendTo } from "../support/service/client.ts"
import { API_KEY, type ServiceProcess, sqlOn, startOn } from "../support/service/Service.ts"

const KILLS = 50
/** Every so many kills a replica is paused past its lease instead, and woken up again. */
const PAUSE_EVERY = 10
const REPORTERS = 2
const BATCH = 20
/** Between two reports, ms: the replicas that start need the processor, too. */
const PACE_MS = 50
const environment = { LEASE_SECS: "1" }

/** A replica that is killed and started again, at whatever address. */
interface Replica {
  readonly name: number
  scope: Scope.Closeable
  service: ServiceProcess
  url: string
}

describe("the transparency log", () => {
  it.live(
    `is one tree that only grows, through ${KILLS} kills of two competing replicas at random moments`,
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const start = Effect.gen(function* () {
            const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
            return { scope, ...(yield* Scope.provide(startOn(databaseUrl, environment), scope)) }
          })
          const replicas: Array<Replica> = []
          for (const name of [0, 1]) replicas.push({ name, ...(yield* start) })
          const anyReplica = Effect.map(Random.nextBoolean, (second) => replicas[Number(second)]!)
          const vkey = yield* vkeyOf({ url: replicas[0]!.url, apiKey: API_KEY })
          const trust = { key: yield* Effect.promise(() => parseVerifierKey(vkey)) }

          const done = yield* Deferred.make<void>()
          const untilDone = <A, E, R>(turn: Effect.Effect<A, E, R>) =>
            Effect.gen(function* () {
              while (!(yield* Deferred.isDone(done))) yield* Effect.ignore(turn)
            })
          const report = Effect.gen(function* () {
            const { url } = yield* anyReplica
            const body = Array.from({ length: BATCH }, () => ({ id: randomUUID(), type: "fault" }))
            yield* sendTo({ url, apiKey: API_KEY }, "/api/events", { key: true, body })
            yield* Effect.sleep(PACE_MS)
          })
          /** Every checkpoint that anybody was shown, by size. */
          const seen = new Map<number, Checkpoint>()
          let rewound = 0
          /** Follows one replica, whose checkpoints never go back while it lives. */
          const watch = (name: number) => {
            let last = { url: "", size: 0 }
            return Effect.gen(function* () {
              const { url } = replicas[name]!
              const { status, text } = yield* sendTo({ url, apiKey: API_KEY }, "/log/checkpoint")
              if (status !== 200) return
              const checkpoint = yield* Effect.promise(() => openCheckpoint(text, trust))
              if (last.url === url && checkpoint.size < last.size) rewound += 1
              last = { url, size: checkpoint.size }
              const known = seen.get(checkpoint.size)
              assert.isTrue(known === undefined || known.note === checkpoint.note, "two trees of one size")
              seen.set(checkpoint.size, checkpoint)
            })
          }
          const background = yield* Effect.forkChild(
            Effect.all(
              [
                ...Array.from({ length: REPORTERS }, () => untilDone(report)),
                ...[0, 1].map((n) => untilDone(watch(n)))
              ],
              { concurrency: "unbounded", discard: true }
            )
          )

          for (let kill = 1; kill <= KILLS; kill += 1) {
            const replica = yield* anyReplica
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
            if (kill % PAUSE_EVERY === 0) {
              yield* replica.service.signal("SIGSTOP")
              yield* Effect.sleep("2500 millis")
              yield* replica.service.signal("SIGCONT")
            }
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 300))
            yield* replica.service.kill
            yield* Scope.close(replica.scope, Exit.void)
            Object.assign(replica, yield* start)
          }
          yield* Deferred.succeed(done, undefined)
          yield* Fiber.join(background)

          const sql = yield* sqlOn(databaseUrl)
          const rows = yield* sql<{ readonly leaf: Uint8Array }>`
            select leaf_hash as leaf from audit_events order by seq`
          const leaves = rows.map(({ leaf }) => Buffer.from(leaf))
          const log = { url: replicas[0]!.url, apiKey: API_KEY }
          const last = yield* logOf(log, leaves.length)
          assert.strictEqual(last.size, leaves.length)
          assert.strictEqual(Buffer.compare(naive.rootOf(leaves), last.root), 0)
          const tiled = Buffer.concat(yield* leavesOf(log, last.size))
          assert.strictEqual(Buffer.compare(tiled, Buffer.concat(leaves)), 0)

          // Each checkpoint that was ever shown is a prefix of that tree.
          assert.isAbove(seen.size, KILLS)
          assert.strictEqual(rewound, 0)
          const tiles = naive.tilesOf(leaves)
          let state: LogState | undefined
          for (const [, shown] of [...seen, [last.size, last] as const].toSorted(([a], [b]) => a - b)) {
            const source = {
              checkpoint: () => Promise.resolve(shown.note),
              tile: (path: string) => Promise.resolve(tileAt(tiles, path))
            }
            const followed = yield* Effect.promise(() => followLog(source, trust, { remembered: state }))
            state = followed.state
          }
          assert.strictEqual(state?.head.size, leaves.length)
        })
      ),
    600_000
  )
})

/** The tile of this path; of a partial one the first hashes. */
const tileAt = (tiles: ReadonlyMap<string, Buffer>, path: string): Uint8Array<ArrayBuffer> => {
  const [, level, place, width = "256"] = /^tile\/(\d+)\/(.*?)(?:\.p\/(\d+))?$/.exec(path) ?? []
  const index = Number(place?.replaceAll(/[x/]/g, ""))
  return new Uint8Array(tiles.get(`${level}/${index}`)?.subarray(0, Number(width) * 32) ?? [])
}
