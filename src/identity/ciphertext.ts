import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto"
import { Result, Schema } from "effect"

/**
 * Data at rest, encrypted with AES-256-GCM (NIST SP 800-38D): a version byte (1), the length of the key's id and the id,
 * a random nonce of 12 bytes, the ciphertext, the tag of 16 bytes. What precedes the nonce is authenticated, and so is
 * the context, the place the ciphertext belongs to: moved to any other place it does not decrypt.
 */

/** A key and the name it is found by. */
export interface DataKey {
  /** 1 to 64 ASCII characters. */
  readonly id: string
  /** 32 bytes. */
  readonly key: KeyObject
}

/** Where a ciphertext belongs, from the general to the particular: its column, then the key of its row. */
export type CipherContext = readonly [place: string, ...row: ReadonlyArray<string>]

/** A ciphertext that cannot be read here. */
export class DataUnreadable extends Schema.TaggedError<DataUnreadable>()("DataUnreadable", {
  /** `unknown_key`: made with a key that is not in the ring. `damaged`: altered, or of another place. */
  reason: Schema.Literals(["unknown_key", "damaged"]),
  /** Id of the key it was made with; empty when not even that can be told. */
  keyId: Schema.String
}) {
  override get message() {
    return this.reason === "unknown_key"
      ? `encrypted with the key "${this.keyId}", which is not in DATA_ENCRYPTION_KEYS`
      : "encrypted data is damaged or was moved"
  }
}

const ALGORITHM = "aes-256-gcm"
const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** What every ciphertext of a key begins with, and no ciphertext of another one. */
export const headerOf = ({ id }: Pick<DataKey, "id">): Buffer =>
  Buffer.concat([Buffer.from([VERSION, id.length]), Buffer.from(id, "latin1")])

const authenticated = (header: Uint8Array, context: CipherContext) =>
  Buffer.concat([header, Buffer.from(JSON.stringify(context))])

export const encrypt = (key: DataKey, plaintext: Uint8Array, context: CipherContext): Buffer => {
  const header = headerOf(key)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key.key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(authenticated(header, context))
  return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** The id of the key, and how long the header with it is. */
const readHeader = (data: Uint8Array) => {
  const [version, idLength = 0] = data
  const length = 2 + idLength
  if (version !== VERSION || idLength === 0 || data.length < length + NONCE_BYTES + TAG_BYTES)
    return undefined
  return { keyId: Buffer.from(data.subarray(2, length)).toString("latin1"), length }
}

export const decrypt = (
  keys: ReadonlyMap<string, DataKey>,
  data: Uint8Array,
  context: CipherContext
): Result.Result<Buffer, DataUnreadable> => {
  const header = readHeader(data)
  if (header === undefined) return Result.fail(new DataUnreadable({ reason: "damaged", keyId: "" }))
  const { keyId, length } = header
  const key = keys.get(keyId)
  if (key === undefined) return Result.fail(new DataUnreadable({ reason: "unknown_key", keyId }))
  const nonceEnd = length + NONCE_BYTES
  const tagStart = data.length - TAG_BYTES
  const decipher = createDecipheriv(ALGORITHM, key.key, data.subarray(length, nonceEnd), {
    authTagLength: TAG_BYTES
  })
  decipher.setAAD(authenticated(data.subarray(0, length), context))
  decipher.setAuthTag(data.subarray(tagStart))
  return Result.try({
    try: () => Buffer.concat([decipher.update(data.subarray(nonceEnd, tagStart)), decipher.final()]),
    catch: () => new DataUnreadable({ reason: "damaged", keyId })
  })
}
