import { hkdfSync } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { ed25519Signer } from "../aitp/signer.ts"
import { formatTreeHead } from "../client/log-checkpoint.ts"
import { formatSignature, formatVerifierKey, verifierKey, type VerifierKey } from "../client/log-note.ts"
import { AppConfig, type Settings } from "../config.ts"
import { Secrets } from "../identity/Secrets.ts"
import type { Lineage, TreeHead } from "./model.ts"

/** The log under one origin: its name, its key, and the hand that signs. */
export interface LogIdentity {
  /** Origin line of the checkpoints, and name of the key. */
  readonly origin: string
  readonly key: VerifierKey
  /** The key as others configure it. */
  readonly vkey: string
  /** The checkpoint of a tree: a signed note. Equal trees have equal notes. */
  readonly sign: (head: TreeHead) => string
}

/** Origin of the log in the first lineage of its ledger. */
const baseOrigin = ({ log, server }: Settings): string => {
  const { host, pathname } = new URL(server.baseUrl)
  return log.origin ?? `${host}${pathname.replace(/\/+$/, "").replaceAll("+", "%2B")}/log`
}

/** The key that signs checkpoints; never the key of the service's AID. */
export class LogKey extends Context.Service<
  LogKey,
  {
    /**
     * The log of a lineage. A ledger that was adopted under a new epoch gives positions a second time, so its log is
     * another one: the epoch is appended to the origin.
     */
    readonly identityIn: (lineage: Lineage) => Effect.Effect<LogIdentity>
  }
>()("cp/log/LogKey") {
  static readonly layer = Layer.effect(
    LogKey,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const { aidSeed, aidSeedIsKept } = yield* Secrets
      const { signingSeedHex } = settings.log
      if (signingSeedHex === undefined && !aidSeedIsKept) {
        yield* Effect.logWarning("the key of the transparency log is made anew at every start")
      }
      const signer = ed25519Signer(
        signingSeedHex === undefined
          ? new Uint8Array(
              hkdfSync("sha256", Redacted.value(aidSeed), new Uint8Array(0), "aitp-cp log checkpoints v1", 32)
            )
          : new Uint8Array(Buffer.from(Redacted.value(signingSeedHex), "hex"))
      )
      const base = baseOrigin(settings)

      const identityIn = Effect.fnUntraced(function* ({ epoch, firstEpoch }: Lineage) {
        const origin = epoch === firstEpoch ? base : `${base}/${epoch}`
        const key = yield* Effect.promise(() => verifierKey(origin, "note", new Uint8Array(signer.raw)))
        const sign = ({ root, size }: TreeHead) => {
          const text = formatTreeHead({ origin, size, root })
          const bytes = new Uint8Array(Buffer.concat([key.id, signer.sign(Buffer.from(text))]))
          return `${text}\n${formatSignature({ name: origin, bytes })}`
        }
        return { origin, key, vkey: formatVerifierKey(key), sign }
      })

      return { identityIn }
    })
  )
}
