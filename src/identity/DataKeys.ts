import { createHash, createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto"
import { Context, Effect, Layer, Redacted, type Result } from "effect"
import { AppConfig } from "../config.ts"
import { Db } from "../db/Db.ts"
import * as Ciphertext from "./ciphertext.ts"
import { Secrets } from "./Secrets.ts"

/** The keys under which data at rest is protected: the first one of the ring for what is written, all for what is read. */
export class DataKeys extends Context.Service<
  DataKeys,
  {
    /** Id of the key that encrypts. */
    readonly keyId: string
    /** What is encrypted under that key begins with these bytes, and nothing else does. */
    readonly header: Uint8Array
    /** Whether data encrypted under the key of this id can be read. */
    readonly has: (keyId: string) => boolean
    /** Encrypts a text for one place, and only for that. */
    readonly encrypt: (text: string | Uint8Array, context: Ciphertext.CipherContext) => Uint8Array
    /** What was encrypted for this place, under any key of the ring. */
    readonly decrypt: (
      data: Uint8Array,
      context: Ciphertext.CipherContext
    ) => Result.Result<Buffer, Ciphertext.DataUnreadable>
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
      const masters = yield* readMasters
      const [first] = masters
      // As key objects: made once, not at every use.
      const keyOf = ({ id, master }: Master) => ({
        id,
        key: createSecretKey(derive(master, "aitp-cp secrets at rest v1"))
      })
      const current = keyOf(first)
      // Backwards, so that of two keys with one id the first stays.
      const ring = new Map(masters.toReversed().map((each) => [each.id, keyOf(each)]))
      const contentKey = createSecretKey(derive(first.master, "aitp-cp event content v1"))
      return {
        keyId: current.id,
        header: Ciphertext.headerOf(current),
        has: (id) => ring.has(id),
        encrypt: (text, context) =>
          Ciphertext.encrypt(current, typeof text === "string" ? Buffer.from(text) : text, context),
        decrypt: (data, context) => Ciphertext.decrypt(ring, data, context),
        contentHash: (content) => ({
          hash: createHmac("sha256", contentKey).update(content).digest(),
          keyId: current.id
        })
      }
    })
  )
}

interface Master {
  readonly id: string
  /** 32 bytes. */
  readonly master: Uint8Array
}

/** A 32-byte key for one purpose (HKDF-SHA-256, RFC 5869). */
const derive = (master: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", master, new Uint8Array(0), purpose, 32))

/** The key derived from the service's seed, while that outlives the process. */
const seedMaster = ({ aidSeed, aidSeedIsKept }: Secrets["Service"]): ReadonlyArray<Master> => {
  if (!aidSeedIsKept) return []
  const master = derive(Redacted.value(aidSeed), "aitp-cp data encryption v1")
  return [{ id: `seed-${createHash("sha256").update(master).digest("hex").slice(0, 8)}`, master }]
}

/** The key kept in the database; made there when it is needed and missing. */
const keptMaster = (needed: boolean) =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    const kept = sql<{ readonly key: Uint8Array }>`select key from data_keys where id = 'generated'`
    if (needed) {
      yield* Effect.logWarning(
        "neither DATA_ENCRYPTION_KEYS nor CP_AID_SEED_HEX is set: using a key kept in the database"
      )
      yield* sql`
        insert into data_keys (id, key) values ('generated', ${randomBytes(32)}::bytea) on conflict (id) do nothing`
    }
    return (yield* kept).map(({ key }): Master => ({ id: "generated", master: key }))
  }).pipe(Effect.orDie)

/**
 * The ring as configured. Behind it the keys that serve while none is configured, so that what they encrypted stays
 * readable: the one derived from the seed, then the one kept in the database.
 */
const readMasters = Effect.gen(function* () {
  const { keys } = yield* AppConfig
  const ring = (keys.dataEncryptionKeys ?? []).map(({ id, key }) => ({
    id,
    master: new Uint8Array(Buffer.from(Redacted.value(key), "base64"))
  }))
  const configured = [...ring, ...seedMaster(yield* Secrets)]
  const kept = yield* keptMaster(configured.length === 0)
  const [first, ...others] = [...configured, ...kept]
  if (first === undefined) return yield* Effect.die(new Error("data_keys has no row"))
  return [first, ...others] as const
})
