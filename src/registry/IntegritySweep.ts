import { Clock, Context, Duration, Effect, Layer, Schedule } from "effect"
import { SecureRandom } from "effect/crypto"
import { system } from "../access/Principal.ts"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { type IntegrityFailure, integrityFailure } from "./integrity.ts"
import { StoredManifests } from "./StoredManifests.ts"

/** Agents whose fingerprints are read in one statement. */
const PAGE = 1000

/** Manifests read in one statement; each takes about half a millisecond to verify. */
const CHECKED_AT_ONCE = 16

/** Longest pause in ms between two sweeps: what changed is withheld within a minute, the sweep itself included. */
const MAX_INTERVAL_MS = 30_000

/**
 * Verifies stored manifests again, from their text, and withholds agents whose manifest does not: a row that was changed
 * in the database, by whatever means, is not passed on as what the agent has signed. Works in pieces and rests after each
 * as long as it took.
 */
export class IntegritySweep extends Context.Service<
  IntegritySweep,
  {
    /**
     * Looks at all agents and verifies those whose row is not as this replica last verified it; the count of those it
     * withheld itself. Each is announced once, however many replicas sweep.
     */
    readonly runOnce: Effect.Effect<number>
  }
>()("cp/registry/IntegritySweep") {
  static readonly layer = Layer.effect(
    IntegritySweep,
    Effect.gen(function* () {
      const manifests = yield* StoredManifests
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom

      const withhold = Effect.fnUntraced(function* (
        agent: { readonly aid: string; readonly fingerprint: Uint8Array; readonly namespace: string },
        reason: IntegrityFailure
      ) {
        const { aid, namespace } = agent
        const receivedAt = yield* Clock.currentTimeMillis
        const event = ownEvent({
          id: yield* random.uuidV7(),
          type: "agent.integrity_failed",
          ts: receivedAt,
          aidA: aid,
          namespace,
          payload: { reason }
        })
        const act = {
          id: yield* random.uuidV7(),
          action: "agent.integrity",
          actorId: system.actorId,
          targetId: aid,
          details: { reason },
          requestId: null
        }
        const withheld = yield* ingest.act(
          { principal: system, receivedAt },
          Effect.succeed([event]),
          (sealed, directoryVersion) => manifests.withhold(agent, sealed, directoryVersion, act)
        )
        if (withheld) yield* Effect.logError(`agent ${aid} is withheld, its stored manifest fails: ${reason}`)
        return withheld
      })

      /** Verifies a few agents; the count of those withheld. Fingerprints of the good ones are noted. */
      const check = Effect.fnUntraced(function* (aids: ReadonlyArray<string>, good: Set<string>) {
        let withheld = 0
        for (const agent of yield* manifests.read(aids)) {
          yield* Effect.yieldNow // requests go in between
          const reason = integrityFailure(agent)
          if (reason === undefined) good.add(keyOf(agent.fingerprint))
          else if (yield* withhold(agent, reason)) withheld += 1
        }
        return withheld
      })

      /** Fingerprints of the rows that the last sweep found good: tens of bytes an agent. */
      let verified: ReadonlySet<string> = new Set()

      const runOnce = Effect.gen(function* () {
        const good = new Set<string>()
        let withheld = 0
        for (let after = ""; ;) {
          const [took, page] = yield* Effect.timed(manifests.fingerprints(after, PAGE))
          yield* Effect.sleep(took)
          const doubtful: Array<string> = []
          for (const { aid, fingerprint } of page) {
            const key = keyOf(fingerprint)
            if (verified.has(key)) good.add(key)
            else doubtful.push(aid)
          }
          for (let from = 0; from < doubtful.length; from += CHECKED_AT_ONCE) {
            const [took, failed] = yield* Effect.timed(
              check(doubtful.slice(from, from + CHECKED_AT_ONCE), good)
            )
            withheld += failed
            yield* Effect.sleep(took)
          }
          const last = page.at(-1)
          if (last === undefined || page.length < PAGE) break
          after = last.aid
        }
        verified = good
        return withheld
      }).pipe(Effect.withSpan("IntegritySweep.runOnce"))

      return { runOnce: onBackground(runOnce) }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { retention } = yield* AppConfig
      const { runOnce } = yield* IntegritySweep
      const leases = yield* Leases
      const interval = Duration.millis(Math.min(retention.expirySweepIntervalMs, MAX_INTERVAL_MS))
      const sweep = Effect.catchCause(Effect.andThen(runOnce, succeeded("manifest integrity")), (cause) =>
        Effect.logWarning("manifest integrity failed", cause)
      )
      const sweeps = Effect.repeat(sweep, Schedule.spaced(interval))
      yield* Effect.forkScoped(onBackground(leases.hold("manifest-integrity", () => sweeps)))
    })
  )
}

const keyOf = (fingerprint: Uint8Array): string => Buffer.from(fingerprint).toString("base64")
