import { Redacted, Result } from "effect"
import type { CipherContext, DataUnreadable } from "../identity/ciphertext.ts"
import type { DataKeys } from "../identity/DataKeys.ts"

/** Secrets of a subscription as its row holds them: each encrypted for its column of its row, and for nothing else. */
export interface StoredSecrets {
  /** Of the subscription. */
  readonly id: string
  readonly secretEnc: Uint8Array
  /** Null unless it is still valid. */
  readonly prevSecretEnc: Uint8Array | null
}

type Keys = DataKeys["Service"]
type Secret = Redacted.Redacted<string>

const currentOf = (id: string): CipherContext => ["webhooks.secret_enc", id]
const previousOf = (id: string): CipherContext => ["webhooks.prev_secret_enc", id]

export const encryptCurrent = (keys: Keys, id: string, secret: Secret): Uint8Array =>
  keys.encrypt(Redacted.value(secret), currentOf(id))

export const encryptPrevious = (keys: Keys, id: string, secret: Secret): Uint8Array =>
  keys.encrypt(Redacted.value(secret), previousOf(id))

const read = (keys: Keys, data: Uint8Array, context: CipherContext): Result.Result<Secret, DataUnreadable> =>
  Result.map(keys.decrypt(data, context), (bytes) => Redacted.make(bytes.toString("utf8")))

/** The secrets in the clear. */
export interface OpenSecrets {
  readonly current: Secret
  readonly previous: Secret | undefined
}

export const openSecrets = (
  keys: Keys,
  { id, prevSecretEnc, secretEnc }: StoredSecrets
): Result.Result<OpenSecrets, DataUnreadable> =>
  Result.flatMap(read(keys, secretEnc, currentOf(id)), (current) =>
    Result.map(
      prevSecretEnc === null ? Result.succeed(undefined) : read(keys, prevSecretEnc, previousOf(id)),
      (previous) => ({ current, previous })
    )
  )
