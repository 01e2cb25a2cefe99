import { Clock, Context, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { Agents } from "./Agents.ts"
import { AgentNotFound } from "./model.ts"

/** Taking agents out of the registry. What they were issued is not revoked by it. */
export class Deregistration extends Context.Service<
  Deregistration,
  {
    /** Repeats succeed, are audited, and announce nothing. Gives the AID as registered. */
    readonly deregister: (
      aid: string,
      by: Principal,
      requestId: string
    ) => Effect.Effect<string, AgentNotFound>
  }
>()("cp/registry/Deregistration") {
  static readonly layer = Layer.effect(
    Deregistration,
    Effect.gen(function* () {
      const agents = yield* Agents
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom

      const deregister = Effect.fn("Deregistration.deregister")(function* (
        given: string,
        principal: Principal,
        requestId: string
      ) {
        const agent = yield* agents.findByAid(given, principal.visibility)
        if (Option.isNone(agent)) return yield* new AgentNotFound()
        const { aid, displayName, namespace } = agent.value
        const receivedAt = yield* Clock.currentTimeMillis
        const event = ownEvent({
          id: yield* random.uuidV7(),
          type: "agent.deregistered",
          ts: receivedAt,
          aidA: aid,
          namespace,
          payload: { reason: "admin_deregister", displayName, namespace }
        })
        const act = {
          id: yield* random.uuidV7(),
          action: "agent.deregister",
          actorId: principal.actorId,
          targetId: aid,
          details: {},
          requestId
        }
        const outcome = yield* ingest.act(
          { principal, receivedAt },
          Effect.succeed([event]),
          (sealed, directoryVersion) =>
            agents.deregister(aid, sealed, directoryVersion, act, { ...act, details: { noop: true } })
        )
        if (outcome === "not_found") return yield* new AgentNotFound()
        return aid
      })

      return { deregister }
    })
  )
}
