import { randomBytes } from "node:crypto"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { AppConfig, ENROLLMENT_SECRET_MIN } from "../config.ts"
import { LocalSecrets } from "../embedded/databaseFromConfig.ts"

const randomHex = () => randomBytes(32).toString("hex")

/** The secrets the service itself works with: configured, or in development made and kept beside the local database. */
export class Secrets extends Context.Service<
  Secrets,
  {
    /** Ed25519 seed of the service's AID, 32 bytes. */
    readonly aidSeed: Redacted.Redacted<Uint8Array>
    /** False when the seed is forgotten at exit: nothing that must outlive the process may be derived from it. */
    readonly aidSeedIsKept: boolean
    /** HMAC key of enrollment tokens; none when the configured one is too short to be used. */
    readonly enrollmentSecret: Option.Option<Redacted.Redacted<string>>
  }
>()("cp/identity/Secrets") {
  static readonly layer = Layer.effect(
    Secrets,
    Effect.gen(function* () {
      const { keys } = yield* AppConfig
      const local = yield* LocalSecrets

      /** The configured value, else one that survives restarts, else one for this process alone. */
      const settle = Effect.fnUntraced(function* (
        variable: string,
        fileName: string,
        configured: Redacted.Redacted<string> | undefined
      ) {
        if (configured !== undefined) return { value: configured, kept: true }
        if (Option.isSome(local)) {
          return { value: Redacted.make(yield* local.value.getOrCreate(fileName, randomHex)), kept: true }
        }
        yield* Effect.logWarning(`${variable} is not set: using a random one until the next restart`)
        return { value: Redacted.make(randomHex()), kept: false }
      })

      const seed = yield* settle("CP_AID_SEED_HEX", "aid-seed-hex", keys.aidSeedHex)
      const enrollment = yield* settle("ENROLLMENT_SECRET", "enrollment-secret", keys.enrollmentSecret)
      return {
        aidSeed: Redacted.make(new Uint8Array(Buffer.from(Redacted.value(seed.value), "hex"))),
        aidSeedIsKept: seed.kept,
        enrollmentSecret: Option.liftPredicate(
          enrollment.value,
          (secret) => Redacted.value(secret).length >= ENROLLMENT_SECRET_MIN
        )
      }
    })
  )
}
