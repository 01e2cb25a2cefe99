import { createHash, createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { AppConfig } from "../config.ts"
import { Db } from "../db/Db.ts"
import { Secrets } from "./Secrets.ts"

/** The key under which data at rest is protected. */
export class DataKeys extends Context.Service<
  DataKeys,
  {
    /**
     * Keyed hash (HMAC-SHA-256, 32 bytes) of an event's canonical JSON. Keyed, because a bare hash of a low-entropy
     * payload would give the payload away. Hashes under different key ids cannot be compared.
     */
    readonly contentHash: (content: string) => { readonly hash: Uint8Array; readonly keyId: string }
  }
>()("cp/identity/DataKeys") {
  static readonly layer = Layer.effect(
    DataKeys,
    Effect.gen(function* () {
      const { keyId, master } = yield* currentKey
      // As a key object: made once, not at every hash.
      const contentKey = createSecretKey(derive(master, "aitp-cp event content v1"))
      return {
        contentHash: (content) => ({ hash: createHmac("sha256", contentKey).update(content).digest(), keyId })
      }
    })
  )
}

/** A 32-byte key for one purpose (HKDF-SHA-256, RFC 5869). */
const derive = (master: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", master, new Uint8Array(0), purpose, 32))

/** The first key of the ring; without a ring one derived from the seed; without a lasting seed one kept in the database. */
const currentKey = Effect.gen(function* () {
  const { keys } = yield* AppConfig
  const secrets = yield* Secrets
  const ringKey = keys.dataEncryptionKeys?.[0]
  if (ringKey !== undefined) {
    return { keyId: ringKey.id, master: new Uint8Array(Buffer.from(Redacted.value(ringKey.key), "base64")) }
  }
  if (secrets.aidSeedIsKept) {
    const master = derive(Redacted.value(secrets.aidSeed), "aitp-cp data encryption v1")
    return { keyId: `seed-${createHash("sha256").update(master).digest("hex").slice(0, 8)}`, master }
  }
  yield* Effect.logWarning(
    "neither DATA_ENCRYPTION_KEYS nor CP_AID_SEED_HEX is set: using a key kept in the database"
  )
  const { sql } = yield* Db
  const [row] = yield* Effect.orDie(sql<{ readonly key: Uint8Array }>`
    with made as (
      insert into data_keys (id, key) values ('generated', ${randomBytes(32)}::bytea)
      on conflict (id) do nothing
      returning key)
    select key from made union all select key from data_keys where id = 'generated' limit 1`)
  if (row === undefined) return yield* Effect.die(new Error("data_keys has no row"))
  return { keyId: "generated", master: row.key }
})
