import { randomUUID } from "node:crypto"
import { Effect, Random } from "effect"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"
import { agentPath, newAgent } from "../../support/service/agents.ts"
import { anyReplica, ask, type World } from "./World.ts"

const ENROLL = "/api/registry/enroll"
const AGENTS = "/api/registry/agents"
const TRIES = 5
const BETWEEN_TRIES_MS = 200

/** A replica whose clock is off may find a proper manifest or token too old or too young, and must say so. */
const refusals = new Set(["MANIFEST_INVALID", "MANIFEST_EXPIRED", "TOKEN_INVALID"])

/** Enrols a new agent, presents its token at several replicas at once, and maybe removes the agent. */
export const joiner = (world: World) =>
  Effect.gen(function* () {
    const { journal } = world
    const agent = newAgent()
    const { text } = mintManifest(agent)
    const enrolled = yield* ask(world, yield* anyReplica(world), ENROLL, { body: text })
    if (enrolled?.status !== 200) {
      const isExplained =
        enrolled === undefined ||
        [500, 503].includes(enrolled.status) ||
        refusals.has(String(enrolled.json()["code"]))
      if (!isExplained) journal.violated("a proper manifest is enrolled or put off", enrolled.text)
      return
    }
    const { token } = enrolled.json<{ readonly token: string }>()
    journal.secrets.add(token)
    const sent = { aid: agent.aid, certainty: "unknown", admitted: 0, removal: "none" } as {
      aid: string
      certainty: "unknown" | "acknowledged"
      admitted: number
      removal: "unknown" | "acknowledged" | "none"
    }
    journal.agents.set(agent.aid, sent)

    /** One who presents the token; with a key of his own, under which he is answered alike each time. */
    const present = (key: string | undefined) =>
      Effect.gen(function* () {
        for (let n = 0; n < TRIES; n += 1) {
          const answer = yield* ask(world, yield* anyReplica(world), AGENTS, {
            body: text,
            headers: {
              authorization: `Bearer ${token}`,
              ...(key === undefined ? {} : { "idempotency-key": key })
            }
          })
          if (answer?.status === 201) {
            sent.certainty = "acknowledged"
            sent.admitted += 1
            return
          }
          const code = answer === undefined ? undefined : String(answer.json()["code"])
          if (code === "TOKEN_REPLAYED") return
          if (
            answer !== undefined &&
            code !== undefined &&
            ![409, 500, 503].includes(answer.status) &&
            !refusals.has(code)
          )
            journal.violated("a proper token is taken once or put off", answer.text)
          yield* Effect.sleep(BETWEEN_TRIES_MS)
        }
        if (key !== undefined)
          journal.openKeys.push({
            path: AGENTS,
            key,
            body: text,
            headers: { authorization: `Bearer ${token}` }
          })
      })
    const presenters = yield* Random.nextIntBetween(1, 3)
    const keys = Array.from({ length: presenters }, () => randomUUID() as string)
    const keyed = yield* Random.nextBoolean
    yield* Effect.forEach(keys, (key) => present(keyed ? key : undefined), {
      concurrency: "unbounded",
      discard: true
    })
    if (sent.admitted > 1)
      journal.violated("a one-time token is used once", `${sent.admitted} times for ${agent.aid}`)

    if (sent.certainty === "acknowledged" && (yield* Random.next) < 0.4) {
      sent.removal = "unknown"
      for (let n = 0; n < TRIES; n += 1) {
        const answer = yield* ask(world, yield* anyReplica(world), agentPath(agent.aid), {
          method: "DELETE",
          key: true
        })
        if (answer?.status === 200) {
          sent.removal = "acknowledged"
          return
        }
        if (answer?.status === 404)
          journal.violated("an acknowledged registration is found", `${agent.aid}: ${answer.text}`)
        yield* Effect.sleep(BETWEEN_TRIES_MS)
      }
    }
  })
