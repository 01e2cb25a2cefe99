import { Context, Effect, Layer, Schedule } from "effect"
import type { SqlError } from "effect/sql"
import { parseVerifierKey, type VerifierKey } from "../client/log-note.ts"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { Egress } from "../egress/Egress.ts"
import type { RequestFailed, TargetRefused } from "../egress/model.ts"
import { webhookTargets } from "../egress/policy.ts"
import type { Witness } from "../env.ts"
import { type Lease, Leases } from "../jobs/Leases.ts"
import { LogTrees } from "./LogTrees.ts"
import { LogWitnesses, type WitnessOutcome } from "./LogWitnesses.ts"
import { Prover } from "./Prover.ts"
import { cosignatureIn, requestBody, sizeIn } from "./witness-protocol.ts"

/** Longest time for a witness to answer; so long a checkpoint waits for its cosignatures, ms. */
const PATIENCE_MS = 700
/** Pause between two rounds, ms. */
const ROUND_MS = 300
/** A witness that failed n times in a row is left alone for 2^n seconds, at most for these, ms. */
const MAX_REST_MS = 60_000
const MAX_ANSWER_BYTES = 16_384

/** A witness, and what this process remembers of it. */
interface Asked extends Witness {
  readonly key: VerifierKey
  /** Leaves of the newest tree it has said to know. */
  known: number
  failures: number
  restsUntil: number
  /** Its signature line, and the checkpoint that it is on. */
  cosignature: { readonly note: string; readonly line: string } | undefined
}

/** The checkpoint to be cosigned. */
interface Head {
  readonly epoch: string
  readonly size: number
  /** Signed by the log alone. */
  readonly note: string
}

const reasonOf = ({ reason }: TargetRefused | RequestFailed): string => reason

/**
 * Asks the witnesses to cosign each new checkpoint, and publishes it with the cosignatures that came in time. Witnesses
 * that are down, slow or of another opinion hold up nothing.
 */
export class Cosigning extends Context.Service<
  Cosigning,
  {
    /** Publishes the newest checkpoint if that is not done, and asks those again whose cosignature it lacks. */
    readonly runOnce: (lease: Lease) => Effect.Effect<void, SqlError.SqlError>
  }
>()("cp/log/Cosigning") {
  static readonly layer = Layer.effect(
    Cosigning,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const egress = yield* Egress
      const prover = yield* Prover
      const trees = yield* LogTrees
      const store = yield* LogWitnesses
      const policy = { ...webhookTargets(settings), hosts: [] }
      const witnesses = yield* Effect.forEach(settings.log.witnesses, ({ url, vkey }) =>
        Effect.map(
          Effect.promise(() => parseVerifierKey(vkey)),
          (key): Asked => ({ url, vkey, key, known: 0, failures: 0, restsUntil: 0, cosignature: undefined })
        )
      )

      const post = Effect.fnUntraced(function* ({ known, url }: Asked, { epoch, note, size }: Head) {
        const body = requestBody(known, yield* prover.consistency(epoch, known, size), note)
        const answer = yield* egress.send({
          method: "POST",
          url: `${url}/add-checkpoint`,
          headers: { "content-type": "text/plain; charset=utf-8" },
          body,
          policy,
          // `cosign` ends it sooner: two requests may be needed, and share its time.
          connectTimeoutMs: 2 * PATIENCE_MS,
          headersTimeoutMs: 2 * PATIENCE_MS,
          bodyTimeoutMs: 2 * PATIENCE_MS,
          maxResponseBytes: MAX_ANSWER_BYTES
        })
        return { ...answer, text: Buffer.from(answer.body).toString("utf8") }
      })

      /** Its signature line, or why there is none. */
      const ask = Effect.fnUntraced(function* (witness: Asked, head: Head) {
        let answer = yield* post(witness, head)
        const size =
          answer.status === 409 ? sizeIn(answer.text, answer.headers.get("content-type")) : undefined
        if (size !== undefined) {
          // Larger than all we have: this log was shown to it in a state that is lost here.
          if (size > head.size)
            return { failure: `knows a tree of ${size} leaves, this log has ${head.size}` }
          witness.known = size
          answer = yield* post(witness, head)
        }
        if (answer.status === 422) return { failure: "finds the log to contradict what it was shown before" }
        if (answer.status !== 200) return { failure: `answered ${answer.status}` }
        const line = yield* Effect.promise(() => cosignatureIn(answer.text, head.note, witness.key))
        return line === undefined ? { failure: "answered without a valid cosignature" } : { line }
      })

      const cosign = Effect.fn("Cosigning.cosign")(function* (witness: Asked, head: Head) {
        const told = yield* ask(witness, head).pipe(
          Effect.timeoutOrElse({
            duration: PATIENCE_MS,
            orElse: () => Effect.succeed({ failure: `no answer within ${PATIENCE_MS} ms` })
          }),
          Effect.catchTags({
            RequestFailed: (error) => Effect.succeed({ failure: reasonOf(error) }),
            TargetRefused: (error) => Effect.succeed({ failure: reasonOf(error) })
          })
        )
        const { vkey } = witness
        if ("line" in told) {
          witness.cosignature = { note: head.note, line: told.line }
          witness.known = head.size
          if (witness.failures > 0) yield* Effect.logInfo(`witness ${witness.key.name} cosigns again`)
          witness.failures = 0
          return { vkey, cosigned: head.size, failure: undefined }
        }
        if (witness.failures === 0) {
          yield* Effect.logWarning(`witness ${witness.key.name} does not cosign: ${told.failure}`)
        }
        witness.failures += 1
        const rest = Math.min(1000 * 2 ** witness.failures, MAX_REST_MS)
        witness.restsUntil = performance.now() + rest
        return { vkey, cosigned: undefined, failure: told.failure } satisfies WitnessOutcome
      })

      const runOnce = Effect.fn("Cosigning.runOnce")(function* (lease: Lease) {
        const { lineage, note, published, size } = yield* trees.read
        if (note === null) return
        const now = performance.now()
        const asked = witnesses.filter(
          ({ cosignature, restsUntil }) => cosignature?.note !== note && restsUntil <= now
        )
        const isNews = published?.size !== size
        if (asked.length === 0 && !isNews) return
        const outcomes = yield* Effect.forEach(
          asked,
          (witness) => cosign(witness, { epoch: lineage.epoch, size, note }),
          {
            concurrency: "unbounded"
          }
        )
        const lines = witnesses.flatMap(({ cosignature }) =>
          cosignature?.note === note ? [cosignature.line] : []
        )
        if (isNews || outcomes.some(({ cosigned }) => cosigned !== undefined)) {
          const checkpoint = { size, note: note + lines.join(""), cosignatures: lines.length }
          yield* trees.publish(lease, lineage.epoch, checkpoint)
        }
        if (outcomes.length > 0) yield* store.record(outcomes)
      })

      return { runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { witnesses } = (yield* AppConfig).log
      if (witnesses.length === 0) return
      const { runOnce } = yield* Cosigning
      const leases = yield* Leases
      const rounds = (lease: Lease) => Effect.repeat(runOnce(lease), Schedule.spaced(ROUND_MS))
      yield* Effect.forkScoped(onBackground(leases.hold("log-witnesses", rounds)))
    })
  )
}
