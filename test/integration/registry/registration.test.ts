import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Agents } from "../../../src/registry/Agents.ts"
import { Deregistration } from "../../../src/registry/Deregistration.ts"
import { Enrollment } from "../../../src/registry/Enrollment.ts"
import { ExpirySweep } from "../../../src/registry/ExpirySweep.ts"
import { Registration } from "../../../src/registry/Registration.ts"
import { RegistryVersion } from "../../../src/registry/RegistryVersion.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"

const Registry = Layer.mergeAll(
  Enrollment.layer,
  Registration.layer,
  Deregistration.layer,
  ExpirySweep.layer
).pipe(
  Layer.provideMerge(Agents.layer),
  Layer.provideMerge(RegistryVersion.layer),
  Layer.provideMerge(Ledger)
)

const seconds = () => Math.floor(Date.now() / 1000)

const bodyOf = (minted: { readonly text: string }) => Buffer.from(minted.text)

const enroll = Effect.fnUntraced(function* (minted: { readonly text: string }) {
  const { token } = yield* (yield* Enrollment).enroll(bodyOf(minted))
  return token
})

const register = Effect.fnUntraced(function* (
  minted: { readonly text: string },
  token: string,
  namespace?: string
) {
  return yield* (yield* Registration).register({
    body: bodyOf(minted),
    token,
    namespace,
    requestId: "request-1"
  })
})

const join = Effect.fnUntraced(function* (minted: { readonly text: string }) {
  return yield* register(minted, yield* enroll(minted))
})

/** Tag of the error an effect fails with; fails the test when it succeeds. */
const failureOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error._tag)

const eventsOf = Effect.fnUntraced(function* (aid: string) {
  const { sql } = yield* Db
  return yield* sql<{ readonly type: string; readonly payload: string; readonly reportedBy: string }>`
    select type, payload, reported_by from audit_events where aid_a = ${aid} order by seq`
})

const actsOn = Effect.fnUntraced(function* (aid: string) {
  const { sql } = yield* Db
  return yield* sql<{
    readonly action: string
    readonly actorId: string
    readonly details: unknown
    readonly requestId: string
  }>`
    select action, actor_id, details, request_id from admin_audit_log where target_id = ${aid} order by id`
})

layer(Registry, { timeout: "60 seconds", excludeTestServices: true })("registration", (it) => {
  it.effect("stores the received text, announces the agent once, and leaves an audit row", () =>
    Effect.gen(function* () {
      const agent = makeAgent()
      const minted = mintManifest(agent, { display_name: "Ada", offered_capabilities: ["demo.read.doc"] })
      const spaced = { text: JSON.stringify(JSON.parse(minted.text), null, 2) }
      const registered = yield* register(spaced, yield* enroll(minted), "team-a")
      assert.deepInclude(registered, { aid: agent.aid, displayName: "Ada", namespace: "team-a" })

      const stored = Option.getOrThrow(yield* (yield* Agents).findByAid(agent.aid, visibleToAll))
      assert.strictEqual(stored.manifestJson, spaced.text)
      assert.deepInclude(stored, { status: "active", namespace: "team-a", displayName: "Ada" })
      assert.deepEqual(stored.offeredCaps, ["demo.read.doc"])

      const [event, ...more] = yield* eventsOf(agent.aid)
      assert.deepEqual(more, [])
      assert.deepInclude(event, { type: "agent.registered", reportedBy: `agent:${agent.aid}` })
      assert.deepInclude(JSON.parse(event?.payload ?? ""), {
        displayName: "Ada",
        namespace: "team-a",
        reEnrolled: false
      })
      const [act] = yield* actsOn(agent.aid)
      assert.deepInclude(act, {
        action: "agent.register",
        actorId: `agent:${agent.aid}`,
        requestId: "request-1"
      })
    })
  )

  it.effect("lets exactly one of 64 simultaneous registrations with one token in", () =>
    Effect.gen(function* () {
      const agent = makeAgent()
      const minted = mintManifest(agent)
      const token = yield* enroll(minted)
      const exits = yield* Effect.forEach(
        Array.from({ length: 64 }),
        () => Effect.exit(register(minted, token)),
        {
          concurrency: 64
        }
      )
      const tags = exits.map((exit) =>
        Exit.isSuccess(exit) ? "registered" : Option.getOrThrow(Cause.findErrorOption(exit.cause))._tag
      )
      assert.deepEqual(
        [
          tags.filter((tag) => tag === "registered").length,
          tags.filter((tag) => tag === "TokenSpent").length
        ],
        [1, 63]
      )
      assert.strictEqual((yield* eventsOf(agent.aid)).length, 1)
    })
  )

  it.effect(
    "binds the token to the manifest: another one of the same agent is refused and does not spend it",
    () =>
      Effect.gen(function* () {
        const agent = makeAgent()
        const minted = mintManifest(agent)
        const other = mintManifest(agent, { display_name: "someone else" })
        const token = yield* enroll(minted)
        assert.strictEqual(yield* failureOf(register(other, token)), "TokenUnusable")
        assert.strictEqual((yield* register(minted, token)).aid, agent.aid)
        assert.strictEqual(yield* failureOf(register(minted, token)), "TokenSpent")
      })
  )

  it.effect("refuses a token of another agent, a forged one and none at all", () =>
    Effect.gen(function* () {
      const [agent, stranger] = [makeAgent(), makeAgent()]
      const minted = mintManifest(agent)
      const foreign = yield* enroll(mintManifest(stranger))
      const token = yield* enroll(minted)
      const forged = `${token.slice(0, -2)}${token.endsWith("AA") ? "BB" : "AA"}`
      for (const unusable of [foreign, forged, "", `${token}.x`, token.replace(".", "")]) {
        assert.strictEqual(yield* failureOf(register(minted, unusable)), "TokenUnusable")
      }
      assert.deepEqual(yield* eventsOf(agent.aid), [])
    })
  )

  it.effect(
    "takes an equal published_at, refuses an older one at both steps, also after deregistration",
    () =>
      Effect.gen(function* () {
        const agent = makeAgent()
        const now = seconds()
        const at = (published_at: number, display_name: string) =>
          mintManifest(agent, { published_at, display_name, expires_at: now + 3600 })
        const older = at(now - 20, "older")
        const olderToken = yield* enroll(older)
        yield* join(at(now - 10, "first"))
        yield* join(at(now - 10, "second"))
        assert.strictEqual(yield* failureOf(register(older, olderToken)), "ManifestOutdated")
        assert.strictEqual(yield* failureOf(enroll(older)), "ManifestOutdated")
        yield* (yield* Deregistration).deregister(agent.aid, system, "request-2")
        assert.strictEqual(yield* failureOf(register(older, olderToken)), "ManifestOutdated")
        const events = yield* eventsOf(agent.aid)
        assert.deepEqual(
          events.map(({ payload, type }) => [type, JSON.parse(payload).reEnrolled]),
          [
            ["agent.registered", false],
            ["agent.registered", true],
            ["agent.deregistered", undefined]
          ]
        )
      })
  )

  it.effect(
    "does not bring a deregistered agent back with the manifest it left with, but with a new one",
    () =>
      Effect.gen(function* () {
        const agent = makeAgent()
        const minted = mintManifest(agent, { display_name: "leaving" })
        const spare = yield* enroll(minted)
        yield* join(minted)
        yield* (yield* Deregistration).deregister(agent.aid, system, "request-2")
        assert.strictEqual(yield* failureOf(enroll(minted)), "ManifestOutdated")
        assert.strictEqual(yield* failureOf(register(minted, spare)), "ManifestOutdated")
        yield* join(mintManifest(agent, { display_name: "back" }))
        const stored = Option.getOrThrow(yield* (yield* Agents).findByAid(agent.aid, visibleToAll))
        assert.deepInclude(stored, { status: "active", displayName: "back", deregisteredAt: null })
      })
  )

  it.effect("knows both spellings of one key as one agent", () =>
    Effect.gen(function* () {
      const seed = Buffer.alloc(32, 7)
      const [plain, tagged] = [makeAgent({ seed }), makeAgent({ seed, form: "ed25519" })]
      yield* join(mintManifest(plain))
      const token = yield* Effect.flip(enroll(mintManifest(tagged)))
      assert.deepInclude(token, { _tag: "OtherSpellingRegistered", aid: plain.aid })
      const found = yield* (yield* Agents).findByAid(tagged.aid, visibleToAll)
      assert.strictEqual(Option.getOrThrow(found).aid, plain.aid)
    })
  )

  it.effect("registers P-256 agents", () =>
    Effect.gen(function* () {
      const agent = makeAgent({ alg: "p256" })
      assert.strictEqual((yield* join(mintManifest(agent))).aid, agent.aid)
    })
  )

  it.effect("tells a manifest that has run out from one that soon will", () =>
    Effect.gen(function* () {
      const agent = makeAgent()
      const now = seconds()
      const soon = mintManifest(agent, { published_at: now - 100, expires_at: now + 299 })
      const past = mintManifest(agent, { published_at: now - 100, expires_at: now - 1 })
      const enrolled = yield* Effect.flip(enroll(soon))
      assert.deepInclude(enrolled, { _tag: "ManifestUnacceptable", protocolCode: "MANIFEST_TTL_TOO_SHORT" })
      assert.notProperty(enrolled, "verifyCode")
      assert.deepInclude(yield* Effect.flip(enroll(past)), {
        verifyCode: "expired",
        protocolCode: "MANIFEST_EXPIRED"
      })
    })
  )

  it.effect("deregisters once, and says so once, however often and however simultaneously it is asked", () =>
    Effect.gen(function* () {
      const agent = makeAgent()
      yield* join(mintManifest(agent))
      const { deregister } = yield* Deregistration
      yield* Effect.forEach(Array.from({ length: 8 }), () => deregister(agent.aid, system, "r"), {
        concurrency: 8
      })
      const events = yield* eventsOf(agent.aid)
      assert.deepEqual(
        events.map(({ type }) => type),
        ["agent.registered", "agent.deregistered"]
      )
      const acts = (yield* actsOn(agent.aid)).filter(({ action }) => action === "agent.deregister")
      assert.strictEqual(acts.length, 8)
      assert.strictEqual(acts.filter(({ details }) => JSON.stringify(details) === '{"noop":true}').length, 7)
      assert.strictEqual(yield* failureOf(deregister(makeAgent().aid, system, "r")), "AgentNotFound")
    })
  )

  it.effect("expires agents once, however many sweeps run, and leaves the others alone", () =>
    Effect.gen(function* () {
      const [due, fresh, gone] = [makeAgent(), makeAgent(), makeAgent()]
      for (const agent of [due, fresh, gone]) yield* join(mintManifest(agent))
      yield* (yield* Deregistration).deregister(gone.aid, system, "r")
      const { sql } = yield* Db
      yield* sql`update agents set manifest_expires_at = now() - interval '1 second' where aid in (${due.aid}, ${gone.aid})`
      const agents = yield* Agents
      assert.strictEqual(Option.getOrThrow(yield* agents.findByAid(due.aid, visibleToAll)).status, "expired")
      const { runOnce } = yield* ExpirySweep
      const counts = yield* Effect.all([runOnce, runOnce, runOnce, runOnce], { concurrency: 4 })
      assert.strictEqual(
        counts.reduce((sum, count) => sum + count, 0),
        1
      )
      const types = (aid: string) => Effect.map(eventsOf(aid), (events) => events.map(({ type }) => type))
      assert.deepEqual(yield* types(due.aid), ["agent.registered", "agent.expired"])
      assert.deepEqual(yield* types(fresh.aid), ["agent.registered"])
      assert.deepEqual(yield* types(gone.aid), ["agent.registered", "agent.deregistered"])
    })
  )
})
