import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Agents } from "../../../src/registry/Agents.ts"
import { Enrollment } from "../../../src/registry/Enrollment.ts"
import { IntegritySweep } from "../../../src/registry/IntegritySweep.ts"
import { Registration } from "../../../src/registry/Registration.ts"
import { RegistryVersion } from "../../../src/registry/RegistryVersion.ts"
import { StoredManifests } from "../../../src/registry/StoredManifests.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"
import { Ledger } from "../../support/events/Ledger.ts"

const Registry = Layer.mergeAll(Enrollment.layer, Registration.layer, IntegritySweep.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Agents.layer, StoredManifests.layer)),
  Layer.provideMerge(RegistryVersion.layer),
  Layer.provideMerge(Ledger)
)

const join = Effect.fnUntraced(function* (agent: TestAgent = makeAgent(), overrides = {}) {
  const body = Buffer.from(mintManifest(agent, overrides).text)
  const { token } = yield* (yield* Enrollment).enroll(body)
  yield* (yield* Registration).register({ body, token, namespace: "guarded", requestId: "r" })
  return agent
})

const sweep = Effect.flatMap(IntegritySweep, ({ runOnce }) => runOnce)

/** Swaps a capability inside the signed text, as somebody with access to the database would. */
const tamper = Effect.fnUntraced(function* (...agents: ReadonlyArray<TestAgent>) {
  const { sql } = yield* Db
  yield* sql`
    update agents set manifest_json = replace(manifest_json, 'demo.echo', 'demo.ecko')
    where aid = any(${agents.map(({ aid }) => aid)})`
})

const isShown = ({ aid }: TestAgent) =>
  Effect.gen(function* () {
    return Option.isSome(yield* (yield* Agents).findByAid(aid, visibleToAll))
  })

/** Reasons that the ledger and the audit give for an agent. */
const saidOf = Effect.fnUntraced(function* ({ aid }: TestAgent) {
  const { sql } = yield* Db
  const events = yield* sql<{ readonly payload: string; readonly namespace: string }>`
    select payload, namespace from audit_events
    where type = 'agent.integrity_failed' and source = 'cp' and aid_a = ${aid} order by seq`
  const acts = yield* sql<{ readonly details: unknown }>`
    select details from admin_audit_log
    where target_id = ${aid} and action = 'agent.integrity' and actor_id = 'system' order by id`
  assert.isTrue(events.every(({ namespace }) => namespace === "guarded"))
  return [events.map(({ payload }): unknown => JSON.parse(payload)), acts.map(({ details }) => details)]
})

const nothing = [[], []]
const once = (reason: string) => [[{ reason }], [{ reason }]]

layer(Registry, { timeout: "60 seconds", excludeTestServices: true })("the integrity sweep", (it) => {
  it.effect("withholds and announces an agent whose text was changed, and no other", () =>
    Effect.gen(function* () {
      const [changed, whole] = [yield* join(), yield* join()]
      assert.strictEqual(yield* sweep, 0)
      yield* tamper(changed)
      assert.strictEqual(yield* sweep, 1)
      assert.isFalse(yield* isShown(changed))
      assert.deepEqual(yield* saidOf(changed), once("signature_invalid"))
      assert.isTrue(yield* isShown(whole))
      assert.deepEqual(yield* saidOf(whole), nothing)
      assert.strictEqual(yield* sweep, 0)
    })
  )

  it.effect("announces each once, however many sweep at a time", () =>
    Effect.gen(function* () {
      const agents = yield* Effect.all(Array.from({ length: 20 }, () => join()))
      yield* tamper(...agents)
      const counts = yield* Effect.all([sweep, sweep, sweep, sweep], { concurrency: 4 })
      assert.strictEqual(
        counts.reduce((sum, count) => sum + count, 0),
        agents.length
      )
      for (const agent of agents) assert.deepEqual(yield* saidOf(agent), once("signature_invalid"))
    })
  )

  it.effect("sees a changed reading of a manifest that it has verified before", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const agent = yield* join()
      assert.strictEqual(yield* sweep, 0)
      yield* sql`update agents set manifest_expires_at = 'infinity' where aid = ${agent.aid}`
      assert.strictEqual(yield* sweep, 1)
      assert.deepEqual(yield* saidOf(agent), once("record_mismatch"))
    })
  )

  it.effect("lets an agent come back by enrolling again, and looks at what it enrolled with", () =>
    Effect.gen(function* () {
      const agent = yield* join()
      yield* tamper(agent)
      yield* sweep
      yield* join(agent)
      assert.isTrue(yield* isShown(agent))
      assert.strictEqual(yield* sweep, 0)
      yield* tamper(agent)
      assert.strictEqual(yield* sweep, 1)
    })
  )

  it.effect("leaves alone an agent that enrolled again since its row was read", () =>
    Effect.gen(function* () {
      const manifests = yield* StoredManifests
      const agent = yield* join()
      yield* tamper(agent)
      const [read] = yield* manifests.read([agent.aid])
      assert.isDefined(read)
      yield* join(agent)
      const act = { id: "", action: "", actorId: "", targetId: "", details: {}, requestId: null }
      const { sql } = yield* Db
      const [head] = yield* sql<{ readonly version: number }>`
        select directory_version::float8 as version from log_head`
      const outcome = yield* manifests.withhold(read, [], head?.version ?? 0, {
        ...act,
        id: "0190a0a0-0000-7000-8000-000000000001"
      })
      assert.isFalse(outcome)
      assert.isTrue(yield* isShown(agent))
    })
  )

  it.effect("looks at agents out of service, too, whose manifests operators can still read", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      const agent = yield* join()
      yield* sql`update agents set status = 'deregistered', deregistered_at = now() where aid = ${agent.aid}`
      yield* tamper(agent)
      assert.strictEqual(yield* sweep, 1)
      assert.isFalse(yield* isShown(agent))
    })
  )
})
