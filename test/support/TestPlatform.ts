import { ConfigProvider, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { AppConfig } from "../../src/config.ts"
import { LocalSecrets } from "../../src/embedded/databaseFromConfig.ts"
import { DataKeys } from "../../src/identity/DataKeys.ts"
import { Secrets } from "../../src/identity/Secrets.ts"

/** The configuration that these environment variables give; all others are unset. */
export const testConfig = (env: Readonly<Record<string, string>> = {}) =>
  AppConfig.layer.pipe(
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({
          CP_AID_SEED_HEX: "11".repeat(32),
          ENROLLMENT_SECRET: "enrollment-secret-of-the-tests-0123456789",
          API_KEYS: "test-key",
          ...env
        })
      )
    )
  )

/** Configuration, secrets and randomness for suites that build stores and operations themselves. */
export const testPlatform = (env: Readonly<Record<string, string>> = {}) =>
  Layer.mergeAll(DataKeys.layer, SecureRandom.layerWebCrypto).pipe(
    Layer.provideMerge(Secrets.layer),
    Layer.provideMerge(Layer.succeed(LocalSecrets, Option.none())),
    Layer.provideMerge(testConfig(env))
  )
