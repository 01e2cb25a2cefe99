import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Random } from "effect"
import { parseTreeHead } from "../../../src/client/log-checkpoint.ts"
import { isSignedBy, parseNote } from "../../../src/client/log-note.ts"
import { verifyConsistency, verifyInclusion } from "../../../src/client/log-tree.ts"
import { Db } from "../../../src/db/Db.ts"
import { LogLineage } from "../../../src/events/LogLineage.ts"
import { Integrator } from "../../../src/log/Integrator.ts"
import { LogKey } from "../../../src/log/LogKey.ts"
import { LogTrees } from "../../../src/log/LogTrees.ts"
import { Prover } from "../../../src/log/Prover.ts"
import * as naive from "../../support/log/naive-tree.ts"
import { append, emptied, integrate, storedLeaves, takeLease, testLog } from "../../support/log/TestLog.ts"

const tree = Effect.flatMap(LogTrees, ({ read }) => read)

/** The stored tiles, by `level/index`. */
const tiles = Effect.gen(function* () {
  const { sql } = yield* Db
  const rows = yield* sql<{ readonly place: string; readonly hashes: Uint8Array }>`
    select level || '/' || index as place, hashes from log_tiles`
  return new Map(rows.map(({ hashes, place }) => [place, Buffer.from(hashes)]))
})

/** Root, tiles and checkpoint are those that the definition gives for the rows. */
const assertWhole = Effect.gen(function* () {
  const leaves = yield* storedLeaves
  const { lineage, note, published, root, size } = yield* tree
  assert.strictEqual(size, leaves.length)
  assert.strictEqual(Buffer.compare(root, naive.rootOf(leaves)), 0)
  const stored = yield* tiles
  const wanted = naive.tilesOf(leaves)
  assert.deepEqual([...stored.keys()].toSorted(), [...wanted.keys()].toSorted())
  for (const [place, hashes] of wanted)
    assert.strictEqual(Buffer.compare(stored.get(place) ?? Buffer.alloc(0), hashes), 0, place)
  const { key } = yield* Effect.flatMap(LogKey, ({ identityIn }) => identityIn(lineage))
  const parsed = parseNote(note ?? "")
  assert.isTrue(yield* Effect.promise(() => isSignedBy(parsed, key)))
  assert.deepEqual(parseTreeHead(parsed.text), { origin: key.name, size, root: new Uint8Array(root) })
  assert.deepEqual(published, { size, note: note ?? "", cosignatures: 0 })
})

const refusalOf = (effect: typeof integrate) =>
  Effect.map(Effect.flip(effect), (error) => ("reason" in error ? error.reason : error))

const hex = (hash: Uint8Array) => Buffer.from(hash).toString("hex")

layer(testLog(), { timeout: "60 seconds", excludeTestServices: true })("the integrator", (it) => {
  it.effect("builds the tree of the committed rows, whatever the portions", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* integrate
      yield* assertWhole
      const integrator = yield* Integrator
      const lease = yield* takeLease("log-integrator")
      let held = yield* integrator.begin(lease)
      for (let turn = 0; turn < 6; turn += 1) {
        yield* append(yield* Random.nextIntBetween(1, 300))
        held = yield* integrator.catchUp(lease, held)
        yield* assertWhole
      }
      // Nothing new: nothing is written.
      const before = yield* tree
      yield* integrator.catchUp(lease, held)
      assert.deepEqual(yield* tree, before)
    })
  )

  it.effect("that has lost its lease, or is late, writes nothing", () =>
    Effect.gen(function* () {
      yield* emptied
      const integrator = yield* Integrator
      yield* append(10)
      const old = yield* takeLease("log-integrator")
      const paused = yield* integrator.begin(old)
      const lease = yield* takeLease("log-integrator")
      const held = yield* integrator.begin(lease)
      const lost = yield* Effect.flip(integrator.catchUp(old, paused))
      assert.strictEqual(lost._tag, "Superseded")
      assert.strictEqual((yield* tree).size, 0)
      yield* integrator.catchUp(lease, held)
      // Even with the lease in hand, an old view of the tree cannot be continued.
      yield* append(5)
      const late = yield* Effect.flip(integrator.catchUp(lease, held))
      assert.strictEqual(late._tag, "Superseded")
      yield* integrate
      yield* assertWhole
    })
  )

  it.effect("and another one at the same time make one tree that only grows", () =>
    Effect.gen(function* () {
      yield* emptied
      const integrator = yield* Integrator
      const heads: Array<{ readonly size: number; readonly root: Uint8Array }> = []
      const written = yield* Deferred.make<void>()
      const untilWritten = <A, E, R>(turn: Effect.Effect<A, E, R>) =>
        Effect.gen(function* () {
          while (!(yield* Deferred.isDone(written))) yield* turn
        })
      // Whoever comes takes the lease away from the other, mostly in mid-work.
      const replica = Effect.gen(function* () {
        yield* Effect.sleep(yield* Random.nextIntBetween(1, 40))
        const lease = yield* takeLease("log-integrator")
        let held = yield* integrator.begin(lease)
        for (;;) {
          held = yield* integrator.catchUp(lease, held)
          yield* Effect.sleep(1)
        }
      }).pipe(Effect.catchTag("Superseded", () => Effect.void))
      const watcher = Effect.map(tree, ({ root, size }) => {
        if (heads.at(-1)?.size !== size) heads.push({ size, root })
      })
      const writer = Effect.gen(function* () {
        for (let turn = 0; turn < 60 || heads.length < 8; turn += 1)
          yield* append(yield* Random.nextIntBetween(1, 60))
        yield* Deferred.succeed(written, undefined)
      })
      yield* Effect.raceFirst(
        Effect.all([untilWritten(replica), untilWritten(replica), untilWritten(replica)], {
          concurrency: "unbounded"
        }),
        Effect.all([untilWritten(watcher), writer], { concurrency: "unbounded" })
      )
      yield* integrate
      yield* assertWhole
      const prover = yield* Prover
      const last = yield* tree
      assert.isAbove(heads.length, 5)
      for (const [at, head] of heads.entries()) {
        assert.isAbove(head.size, heads[at - 1]?.size ?? -1)
        const proof = yield* prover.consistency(last.lineage.epoch, head.size, last.size)
        yield* Effect.promise(() => verifyConsistency(head, last, proof))
      }
    })
  )

  it.effect("proves the same with the leaf's tile at hand, also with one that has grown since", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* append(600)
      yield* integrate
      const leaves = yield* storedLeaves
      const { lineage, root, size } = yield* tree
      const prover = yield* Prover
      for (const index of [0, 255, 256, 511, 512, 599]) {
        const whole = Buffer.concat(leaves.slice(index & ~255, (index | 255) + 1))
        const plain = yield* prover.inclusion(lineage.epoch, index, size)
        for (const tile of [whole, whole.subarray(0, 32), new Uint8Array(0), null]) {
          const { hashes, leaf } = yield* prover.inclusion(lineage.epoch, index, size, tile)
          assert.deepEqual([leaf, ...hashes].map(hex), [plain.leaf, ...plain.hashes].map(hex))
          yield* Effect.promise(() => verifyInclusion({ index, size, hashes }, leaf, root))
        }
      }
    })
  )

  it.effect("signs nothing beyond a row that is missing", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      yield* append(20)
      yield* integrate
      yield* append(10)
      yield* sql`delete from audit_events where seq = 25`
      assert.strictEqual(yield* refusalOf(integrate), "rows_missing")
      assert.strictEqual((yield* tree).size, 20)
      yield* sql`update log_head set seq = 15`
      assert.strictEqual(yield* refusalOf(integrate), "ledger_behind")
    })
  )

  it.effect("does not continue a tree that was tampered with", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const cases = [
        ["rows_differ", sql`update audit_events set leaf_hash = sha256('x') where seq = 290`],
        ["rows_differ", sql`delete from audit_events where seq = 1`],
        [
          "tiles_damaged",
          sql`update log_tiles set hashes = overlay(hashes placing sha256('x') from 1) where level = 1`
        ],
        ["tiles_damaged", sql`delete from log_tiles where level = 0 and index = 1`],
        [
          "tiles_damaged",
          sql`update log_tiles set hashes = substr(hashes, 1, 32) where level = 0 and index = 1`
        ],
        [
          "rows_differ",
          sql`update log_tiles set hashes = overlay(hashes placing sha256('x') from 1) where level = 0 and index = 0`
        ],
        ["checkpoint_damaged", sql`update log_tree set root = sha256('x')`],
        ["checkpoint_damaged", sql`update log_tree set size = size - 1, published_size = size - 1`],
        ["checkpoint_damaged", sql`update log_tree set note = null`],
        ["checkpoint_damaged", sql`update log_tree set note = replace(note, '300', '299')`],
        ["checkpoint_damaged", sql`update log_tree set note = regexp_replace(note, '.(....)$', 'A\\1')`],
        ["ledger_behind", sql`update log_head set seq = 299`]
      ] as const
      for (const [reason, tampering] of cases) {
        yield* emptied
        yield* append(300)
        yield* integrate
        yield* integrate // and it is continued as long as it is whole
        yield* tampering
        assert.strictEqual(yield* refusalOf(integrate), reason)
      }
    })
  )

  it.effect("cannot take back or change a hash that a tile has", () =>
    Effect.gen(function* () {
      yield* emptied
      yield* append(5)
      const { edge, epoch, identity } = yield* integrate
      const trees = yield* LogTrees
      const lease = yield* takeLease("log-integrator")
      yield* append(1)
      const head = { size: 6, root: edge.root() }
      for (const hashes of [Buffer.alloc(6 * 32, 1), Buffer.alloc(32, 1)]) {
        const next = { ...head, epoch, previous: 5, note: identity.sign(head), publish: true }
        const outcome = yield* Effect.exit(
          trees.integrate(lease, { ...next, tiles: [{ level: 0, index: 0, hashes }] })
        )
        assert.strictEqual(outcome._tag, "Failure")
      }
      // Nor sign more than is committed, or the same tree with another root.
      const note = identity.sign(head)
      assert.isFalse(
        yield* trees.integrate(lease, {
          ...head,
          epoch,
          size: 7,
          previous: 5,
          note,
          publish: true,
          tiles: []
        })
      )
      const other = { epoch, size: 5, previous: 5, root: Buffer.alloc(32), note, publish: true, tiles: [] }
      assert.strictEqual((yield* Effect.exit(trees.integrate(lease, other)))._tag, "Failure")
      yield* integrate
      yield* assertWhole
    })
  )

  it.effect("goes on after retention has dropped what is in the tree, and old proofs can still be made", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      yield* append(5000)
      yield* integrate
      const leaves = yield* storedLeaves
      yield* sql`delete from audit_events where seq <= 4900`
      assert.strictEqual(yield* refusalOf(integrate), "rows_differ")
      yield* sql`update log_tree set dropped_to = 4900`
      yield* append(300)
      yield* integrate
      const { lineage, root, size } = yield* tree
      const prover = yield* Prover
      const { hashes, leaf } = yield* prover.inclusion(lineage.epoch, 17, size)
      assert.strictEqual(Buffer.compare(leaf, leaves[17] ?? Buffer.alloc(0)), 0)
      yield* Effect.promise(() => verifyInclusion({ index: 17, size, hashes }, leaf, root))
      const proof = yield* prover.consistency(lineage.epoch, 5000, size)
      const first = { size: 5000, root: naive.rootOf(leaves) }
      yield* Effect.promise(() => verifyConsistency(first, { size, root }, proof))
      // What is not in the tree yet cannot be given up.
      assert.strictEqual(
        (yield* Effect.exit(sql`update log_tree set dropped_to = ${size + 1}::bigint`))._tag,
        "Failure"
      )
    })
  )

  it.effect("gives the log another origin when the ledger is adopted under a new epoch", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      const lineage = yield* LogLineage
      const trees = yield* LogTrees
      yield* append(40)
      const { identity: before } = yield* integrate
      yield* sql`update log_head set timeline = timeline + 1`
      assert.strictEqual(yield* refusalOf(integrate), "not_adopted")
      const epoch = yield* lineage.adopt
      // The old view neither signs nor publishes.
      const lease = yield* takeLease("log-integrator")
      const { lineage: old, root } = yield* tree
      const note = before.sign({ size: 40, root })
      const resigned = { epoch: old.epoch, previous: 40, size: 40, root, note, publish: true, tiles: [] }
      assert.isFalse(yield* trees.integrate(lease, resigned))
      yield* integrate
      const { published } = yield* tree
      const head = parseTreeHead(parseNote(published?.note ?? "").text)
      assert.deepEqual([head.origin, head.size], [`${before.origin}/${epoch}`, 40])
      assert.isFalse(yield* trees.publish(lease, old.epoch, { size: 40, note, cosignatures: 9 }))
      yield* append(3)
      const { identity } = yield* integrate
      assert.strictEqual(identity.origin, `${before.origin}/${epoch}`)
      yield* assertWhole
      assert.notStrictEqual(identity.vkey.split("+")[1], before.vkey.split("+")[1])
    })
  )
})
